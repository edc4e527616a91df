import { on } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import * as v from 'valibot'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ImportJob, type ImportOrder, type ImportReport, reportSchema } from '../../shim/import/job.ts'
import { dockerEntries, smallImage } from './image.ts'
import { type ImportNode, startImportNode } from './import-node.ts'
import { tar } from './tar.ts'

let node: ImportNode
beforeAll(async () => {
  node = await startImportNode()
})
afterAll(() => node[Symbol.asyncDispose]())

/** What the thread of an import tells, in order, progress left out. */
async function reportsOf(storePath: string): Promise<ImportReport[]> {
  const { options } = node
  const { uid, gid, env } = options.buildUser
  const job: ImportJob = {
    storePath,
    image: 'registry.example/reported:1',
    labels: {},
    ownedBy: 'example/owner',
    replaceForeign: true,
    runsPrograms: true,
    maxImageSize: 2 ** 40,
    containerd: { namespace: 'k8s.io', ...options.containerd },
    layers: 'linked',
    plansFolder: join(options.stateDir, 'plans'),
    digestsFolder: join(options.stateDir, 'digests'),
    viewFolder: join(options.stateDir, 'view'),
    importer: 'importer',
    process: 'process',
    lease: `lease-of-${storePath}`,
    staleLeases: [],
    scriptUser: { env: { ...env }, ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) },
  }
  const worker = new Worker(new URL('../../shim/import/worker.ts', import.meta.url))
  const reports: ImportReport[] = []
  worker.postMessage({ kind: 'import', job } satisfies ImportOrder)
  for await (const [message] of on(worker, 'message')) {
    const report = v.parse(reportSchema, message)
    reports.push(report)
    if (report.kind === 'done' || report.kind === 'failed') break
  }
  await worker.terminate()
  return reports.filter(({ kind }) => kind !== 'progress')
}

const RUNS = { kind: 'script', pid: expect.any(Number) }
const HAS_ENDED = { kind: 'script' }

it('a script that has ended is reported as such before the import is done', async () => {
  const archive = await node.addFile('archive', await tar(dockerEntries(await smallImage('reported'))))
  const script = await node.addFile('script', `#!/bin/sh\nexec cat ${archive}\n`, 0o555)
  const done = expect.objectContaining({ kind: 'done' })
  expect(await reportsOf(script)).toEqual([{ kind: 'staleLeasesEnded' }, RUNS, HAS_ENDED, done])
})

it('leases of before are reported as ended even when the import fails then', async () => {
  const text = await node.addFile('text', 'no image')
  const failed = expect.objectContaining({ kind: 'failed', code: 'NotAnImage' })
  expect(await reportsOf(text)).toEqual([{ kind: 'staleLeasesEnded' }, failed])
})
