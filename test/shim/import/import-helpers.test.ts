import { readFileSync } from 'node:fs'
import { expect, it, onTestFinished } from 'vitest'
import { createImportHelpers } from '../../../shim/import/import-helpers.ts'
import { descendants } from '../../node/process-tree.ts'

const JOB = {
  ...{ storePath: '/nix/store/none', image: 'registry.example/none:1', labels: {}, ownedBy: 'example/owner' },
  ...{ replaceForeign: true, maxImageSize: 1, layers: 'linked' as const, trustStore: false },
  containerd: { namespace: 'k8s.io', address: '/none', snapshotter: 'overlayfs' },
  ...{ plansFolder: '/none', digestsFolder: '/none', viewFolder: '/none' },
  ...{ importer: 'importer', process: 'process', lease: 'lease' },
}
const RUN = {
  signal: new AbortController().signal,
  onProgress: () => {},
  queryClosure: async () => [],
  onLinking: () => {},
  onLeaseEnded: () => {},
}

it('fails imports immediately as long as no process can be started for them', async () => {
  const { execPath } = process
  onTestFinished(() => {
    process.execPath = execPath
  })
  process.execPath = '/no/such/program'
  const helpers = createImportHelpers()
  for (let time = 0; time < 2; time += 1)
    await expect(helpers.runImport(JOB, RUN)).rejects.toMatchObject({ code: 'ImportInterrupted', retryable: true })
})

it('lets an import use 1 GiB of memory in total', async () => {
  const limits: string[] = []
  const controller = new AbortController()
  const queryClosure = async () => {
    for (const pid of descendants(process.pid)) limits.push(readFileSync(`/proc/${pid}/limits`, 'utf8'))
    controller.abort()
    return []
  }
  const { signal } = controller
  await expect(createImportHelpers().runImport(JOB, { ...RUN, signal, queryClosure })).rejects.toMatchObject({
    code: 'Cancelled',
  })
  expect(limits).toEqual([expect.stringMatching(/Max data size +1073741824 +1073741824/)])
})
