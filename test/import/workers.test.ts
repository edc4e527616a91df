import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { runWorker } from '../../shim/import/run-worker.ts'
import { createWorkers } from '../../shim/import/workers.ts'

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

test('imports fail, each at once, as long as no process can be started for them', async () => {
  const { execPath } = process
  onTestFinished(() => {
    process.execPath = execPath
  })
  process.execPath = '/no/such/program'
  const workers = createWorkers()
  for (let time = 0; time < 2; time += 1)
    await expect(workers.withWorker(worker => runWorker(worker, JOB, RUN))).rejects.toMatchObject({
      code: 'ImportInterrupted',
    })
})

test('a process for imports may take 1 GiB, whatever it is for', async () => {
  await createWorkers().withWorker(async worker => {
    const limits = () => readFile(`/proc/${worker.pid}/limits`, 'utf8')
    await expect.poll(limits).toMatch(/Max data size +1073741824 +1073741824/)
    worker.kill('SIGKILL')
    await once(worker, 'exit')
  })
})
