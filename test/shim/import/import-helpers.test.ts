import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createWorkers } from '../../../shim/import/import-helpers.ts'
import { runWorker } from '../../../shim/import/run-import-helper.ts'

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

test('imports fail immediately as long as no process can be started for them', async () => {
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

test('an import worker may use 1 GiB of memory in total', async () => {
  await createWorkers().withWorker(async worker => {
    const limits = () => readFile(`/proc/${worker.pid}/limits`, 'utf8')
    await expect.poll(limits).toMatch(/Max data size +1073741824 +1073741824/)
    worker.kill('SIGKILL')
    await once(worker, 'exit')
  })
})

test('a worker is ended after a failed import, and the next import gets another', async () => {
  const workers = createWorkers()
  const failed = await workers
    .withWorker(async worker => Promise.reject(worker))
    .catch((worker: ReturnType<typeof fork>) => worker)
  await expect.poll(() => failed.signalCode).toBe('SIGKILL')
  const pids: unknown[] = []
  for (let time = 0; time < 2; time += 1) await workers.withWorker(async ({ pid }) => void pids.push(pid))
  expect(pids).toEqual([pids[0], pids[0]])
  expect(pids).not.toContain(failed.pid)
  await workers.withWorker(async worker => Promise.reject(worker)).catch(() => {})
})

test('an import whose worker cannot be ended fails, and lets the next one run', async () => {
  const stdio = ['pipe', 'ignore', 'ignore', 'ipc'] satisfies ('pipe' | 'ignore' | 'ipc')[]
  const worker = fork(join(import.meta.dirname, '../../lib/process/never-ending.ts'), { stdio })
  const end = worker.kill.bind(worker)
  onTestFinished(() => void end('SIGKILL'))
  // Like a process that waits for a disk.
  vi.spyOn(worker, 'kill').mockReturnValue(true)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const failure = expect(runWorker(worker, JOB, { ...RUN, signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'ImportInterrupted',
    message: expect.stringContaining('cannot be ended'),
  })
  await vi.advanceTimersByTimeAsync(60_000)
  await failure
})
