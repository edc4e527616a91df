import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { connectCluster } from './cluster.ts'
import { type ControlPlane, startControlPlane } from './control-plane.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The socket that answers with the Access of the control plane that all test files share. */
    sharedControlPlane: string
  }
}

/** Vitest's global set-up. The control plane is started when the first test file asks for it: a run without one pays nothing. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), 'enbi-shared-'))
  const socket = join(dir, 'socket')
  let starting: Promise<ControlPlane> | undefined
  const server = createServer({ allowHalfOpen: true }, async client => {
    client.on('error', () => {}) // the test process may have ended meanwhile
    starting ??= startShared()
    client.end(await describe(starting))
  })
  await new Promise<void>(resolve => server.listen(socket, resolve))
  project.provide('sharedControlPlane', socket)
  return async () => {
    server.close()
    const controlPlane = await starting?.catch(() => undefined)
    await controlPlane?.[Symbol.asyncDispose]()
    await rm(dir, { recursive: true })
  }
}

async function startShared(): Promise<ControlPlane> {
  const controlPlane = await startControlPlane()
  try {
    await (await connectCluster(controlPlane.access)).installDeploy()
    return controlPlane
  } catch (error) {
    await controlPlane[Symbol.asyncDispose]()
    throw error
  }
}

async function describe(starting: Promise<ControlPlane>): Promise<string> {
  try {
    const { access } = await starting
    return JSON.stringify({ access })
  } catch (error) {
    return JSON.stringify({ error: String(error) })
  }
}
