import { fork } from 'node:child_process'
import { on } from 'node:events'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  type ImportJob,
  type ImportOrder,
  type ImportReport,
  reportSchema,
} from '../../../../shim/import/helper/messages.ts'
import { type ImportNode, startImportNode } from '../import-node.ts'

let node: ImportNode
beforeAll(async () => {
  node = await startImportNode()
})
afterAll(() => node[Symbol.asyncDispose]())

/** The reports of a worker in order, without progress. */
async function reportsOf(storePath: string): Promise<ImportReport[]> {
  const { options } = node
  const job: ImportJob = {
    storePath,
    image: 'registry.example/reported:1',
    labels: {},
    ownedBy: 'example/owner',
    replaceForeign: true,
    maxImageSize: 2 ** 40,
    containerd: { namespace: 'k8s.io', ...options.containerd },
    layers: 'linked',
    trustStore: false,
    plansFolder: join(options.stateDir, 'plans'),
    digestsFolder: join(options.stateDir, 'digests'),
    viewFolder: join(options.stateDir, 'view'),
    importer: 'importer',
    process: 'process',
    lease: `lease-of-${storePath}`,
  }
  const worker = fork(join(import.meta.dirname, '../../../../shim/import/helper/import-helper.ts'))
  const reports: ImportReport[] = []
  worker.send({ kind: 'import', job } satisfies ImportOrder)
  for await (const [message] of on(worker, 'message')) {
    const report = v.parse(reportSchema, message)
    reports.push(report)
    if (report.kind === 'query') worker.send(await answer(report.id))
    else if (report.kind !== 'progress' && report.kind !== 'leaseEnded') break
  }
  worker.kill('SIGKILL')
  return reports.filter(({ kind }) => kind !== 'progress' && kind !== 'query')
}

async function answer(id: number): Promise<ImportOrder> {
  const infos = await node.options.queryClosure('', { signal: new AbortController().signal })
  return { kind: 'storePaths', id, infos: infos.map(info => ({ ...info, references: [] })), isLast: true }
}

it('a program is reported with the shell that can run it, and not run', async () => {
  const shell = await node.addFile('sh', '', 0o555)
  const path = await node.addFile('program', `#!${shell}\n`, 0o555)
  const program = { path, storePath: path, shell: { path: shell, argument: '' } }
  expect(await reportsOf(path)).toEqual([{ kind: 'leaseEnded' }, { kind: 'program', program }])
})

it('the lease of an import that fails is reported as ended', async () => {
  const text = await node.addFile('text', 'no image')
  const failed = expect.objectContaining({ kind: 'failed', code: 'NotAnImage' })
  expect(await reportsOf(text)).toEqual([{ kind: 'leaseEnded' }, failed])
})
