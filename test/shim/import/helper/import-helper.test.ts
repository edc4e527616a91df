import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createHelperPool } from '../../../../lib/process/helper-pool.ts'
import {
  IMPORT_HELPER,
  type ImportJob,
  type ImportMessage,
  type ImportReport,
  reportSchema,
} from '../../../../shim/import/helper/messages.ts'
import { type ImportNode, startImportNode } from '../import-node.ts'

let node: ImportNode
beforeAll(async () => {
  node = await startImportNode()
})
afterAll(() => node[Symbol.asyncDispose]())

/** The reports of a helper in order, without progress. */
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
  const program = { file: IMPORT_HELPER, nodeFlags: [], arenas: 2, graceMs: 1000, isReused: false }
  const reports: ImportReport[] = []
  await createHelperPool(program, { afterMs: 60_000 }).run({
    job,
    signal: new AbortController().signal,
    parse: report => v.parse(reportSchema, report),
    onReport(report, send) {
      if (report.kind === 'query') void answer(report.id).then(send)
      else if (report.kind !== 'progress') reports.push(report)
      return ['done', 'program', 'failed'].includes(report.kind) || undefined
    },
  })
  return reports
}

async function answer(id: number): Promise<ImportMessage> {
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
