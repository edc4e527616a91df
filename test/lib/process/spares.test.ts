import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { createHelpers } from '../../../lib/process/run-helper.ts'
import { createSpares } from '../../../lib/process/spares.ts'
import { descendants } from '../../node/process-tree.ts'

const PROGRAM = { file: new URL('./reporting-pid.ts', import.meta.url), heapMegabytes: 32, graceMs: 1000 }

afterEach(() => children().forEach(pid => void process.kill(pid, 'SIGKILL')))

test('each run has its own helper, which is started after the previous run', async () => {
  const run = makeRun()
  const first = await run()
  const spare = await untilStarted()
  expect(spare).not.toBe(first)
  expect(await run()).toBe(spare)
  expect(await untilStarted()).not.toBe(spare)
})

test('no helper is started while other runs continue', async () => {
  const run = makeRun()
  const pids = await Promise.all([run(), run(), run()])
  expect(new Set(pids).size).toBe(3)
  await untilStarted()
})

test('no helper is started in advance while something else needs the memory', async () => {
  const answers = [false, false]
  const run = makeRun(PROGRAM, () => answers.pop() ?? true)
  await run()
  await untilStarted()
  expect(answers).toEqual([])
})

test('a helper that is killed while it waits does not fail the next run', async () => {
  const run = makeRun()
  await run()
  const spare = await untilStarted()
  process.kill(spare, 'SIGKILL')
  await vi.waitFor(() => expect(children()).toEqual([]))
  expect(await run()).not.toBe(spare)
  await untilStarted()
})

test('a cancelled run leaves no helper', async () => {
  const signal = AbortSignal.abort()
  await createHelpers(PROGRAM, { afterMs: 1 }).run({ job: {}, signal, onReport: () => {} })
  await delay(20)
  expect(children()).toEqual([])
})

test('a helper warms up once while it waits, but not if its order has arrived', async () => {
  const run = makeRun({ ...PROGRAM, file: new URL('./warming-up.ts', import.meta.url) })
  expect(await run()).toBe(0)
  await vi.waitFor(async () => expect(await run()).toBe(1), { interval: 500, timeout: 20_000 })
  await untilStarted()
})

test('the last report is the answer of a helper even if it does not end, and the helper is ended', async () => {
  const reported: unknown[] = []
  const run = { job: {}, signal: new AbortController().signal, isLast: () => reported.length > 0 }
  const helpers = createHelpers(
    { ...PROGRAM, graceMs: 1, file: new URL('./never-ending.ts', import.meta.url) },
    { afterMs: 60_000 },
  )
  await helpers.run({ ...run, onReport: report => reported.push(report) })
  await vi.waitFor(() => expect(children()).toEqual([]))
})

test('a process that nobody takes is ended', async () => {
  const spares = createSpares(
    () => spawn('sleep', ['1000']),
    process => process,
    1,
  )
  const process = spares.take()
  spares.keep(process)
  await once(process, 'exit')
  expect(process.signalCode).toBe('SIGKILL')
})

test('a waiting helper neither keeps the shim running nor outlives it', async () => {
  const shim = spawn(process.execPath, [join(import.meta.dirname, 'run-once.ts')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [reported] = await once(shim.stdout, 'data')
  expect(Number(String(reported))).toBeGreaterThan(0)
  // The streams close only after the waiting helper has closed its ends.
  expect(await once(shim, 'close')).toEqual([0, null])
})

function makeRun(program = PROGRAM, isIdle?: () => boolean): () => Promise<unknown> {
  const helpers = createHelpers(program, { afterMs: 1, isIdle })
  const { signal } = new AbortController()
  return async () => {
    const reported: unknown[] = []
    await helpers.run({ job: {}, signal, onReport: report => reported.push(report) })
    return reported[0]
  }
}

/** Process id of the only waiting helper. */
async function untilStarted(): Promise<number> {
  await vi.waitFor(() => expect(children()).toHaveLength(1))
  return children()[0] ?? 0
}

function children(): number[] {
  return descendants(process.pid)
}
