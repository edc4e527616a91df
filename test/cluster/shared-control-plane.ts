import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import type { Access } from './access.ts'
import { connectCluster } from './cluster.ts'
import { startControlPlane } from './control-plane.ts'
import { startWholeCluster } from './whole-cluster.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Path of the socket that serves the Access of the control plane that all test files share. */
    sharedControlPlane: string
    /** The same for a shared control plane with a running controller. */
    sharedControlPlaneWithController: string
  }
}

/** Vitest's global set-up. It starts a control plane when the first test file connects to its socket. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), 'enbi-shared-'))
  const bare = await share(join(dir, 'bare'), startBare)
  const withController = await share(join(dir, 'withController'), () => startWholeCluster({ controllerFlags: [] }))
  project.provide('sharedControlPlane', bare.socket)
  project.provide('sharedControlPlaneWithController', withController.socket)
  return async () => {
    await Promise.all([bare.end(), withController.end()])
    await rm(dir, { recursive: true })
  }
}

interface Shared extends AsyncDisposable {
  readonly access: Access
}

async function share(socket: string, start: () => Promise<Shared>) {
  let starting: Promise<Shared> | undefined
  const server = createServer({ allowHalfOpen: true }, async client => {
    client.on('error', () => {}) // the test process may have ended meanwhile
    starting ??= start()
    client.end(await describe(starting))
  })
  await new Promise<void>(resolve => server.listen(socket, resolve))
  return {
    socket,
    async end() {
      server.close()
      const shared = await starting?.catch(() => undefined)
      await shared?.[Symbol.asyncDispose]()
    },
  }
}

async function startBare(): Promise<Shared> {
  const controlPlane = await startControlPlane()
  try {
    await (await connectCluster(controlPlane.access)).installDeploy()
    return controlPlane
  } catch (error) {
    await controlPlane[Symbol.asyncDispose]()
    throw error
  }
}

async function describe(starting: Promise<Shared>): Promise<string> {
  try {
    const { access } = await starting
    return JSON.stringify({ access })
  } catch (error) {
    return JSON.stringify({ error: String(error) })
  }
}
