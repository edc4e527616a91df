import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { createHelpers } from '../../../lib/process/run-helper.ts'
import { createSpares } from '../../../lib/process/spares.ts'
import { descendants } from '../../node/process-tree.ts'

const PROGRAM = { file: new URL('./reporting-pid.ts', import.meta.url), heapMegabytes: 32 }

afterEach(() => children().forEach(pid => void process.kill(pid, 'SIGKILL')))

test('each run has its own helper, which started after the previous run', async () => {
  const run = makeRun()
  const first = await run()
  const spare = await untilStarted()
  expect(spare).not.toBe(first)
  expect(await run()).toBe(spare)
  expect(await untilStarted()).not.toBe(spare)
})

test('no spare helper starts during concurrent runs', async () => {
  const run = makeRun()
  const pids = await Promise.all([run(), run(), run()])
  expect(new Set(pids).size).toBe(3)
  await untilStarted()
})

test('no spare helper starts while the memory is needed elsewhere', async () => {
  const answers = [false, false]
  const run = makeRun(PROGRAM, () => answers.pop() ?? true)
  await run()
  await untilStarted()
  expect(answers).toEqual([])
})

test('a spare helper that is killed does not fail the next run', async () => {
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
  await createHelpers(PROGRAM, { afterMs: 1 }).run({ job: {}, signal, graceMs: 1000, onReport: () => {} })
  await delay(20)
  expect(children()).toEqual([])
})

test('a helper rehearses once while it is spare, and not when its order is present', async () => {
  const run = makeRun({ ...PROGRAM, file: new URL('./rehearsing.ts', import.meta.url) })
  expect(await run()).toBe(0)
  await vi.waitFor(async () => expect(await run()).toBe(1), { interval: 500, timeout: 20_000 })
  await untilStarted()
})

test('a helper that does not end is killed, and its last report is the answer', async () => {
  const reports: unknown[] = []
  const run = { job: {}, signal: new AbortController().signal, graceMs: 1, isLast: () => reports.length > 0 }
  const helpers = createHelpers(
    { ...PROGRAM, file: new URL('./never-ending.ts', import.meta.url) },
    { afterMs: 60_000 },
  )
  await helpers.run({ ...run, onReport: report => reports.push(report) })
  await vi.waitFor(() => expect(children()).toEqual([]))
})

test('an unused process is ended', async () => {
  const spares = createSpares(() => spawn('sleep', ['1000']), 1)
  const process = spares.take()
  spares.keep(process)
  await once(process, 'exit')
  expect(process.signalCode).toBe('SIGKILL')
})

test('a spare helper neither keeps the shim alive nor outlives it', async () => {
  const shim = spawn(process.execPath, [join(import.meta.dirname, 'run-once.ts')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [printed] = await once(shim.stdout, 'data')
  expect(Number(String(printed))).toBeGreaterThan(0)
  // Its streams close only once the spare helper has released them, too.
  expect(await once(shim, 'close')).toEqual([0, null])
})

function makeRun(program = PROGRAM, isIdle?: () => boolean): () => Promise<unknown> {
  const helpers = createHelpers(program, { afterMs: 1, isIdle })
  const { signal } = new AbortController()
  return async () => {
    const reports: unknown[] = []
    await helpers.run({ job: {}, signal, graceMs: 1000, onReport: report => reports.push(report) })
    return reports[0]
  }
}

/** The process id of the only spare helper. */
async function untilStarted(): Promise<number> {
  await vi.waitFor(() => expect(children()).toHaveLength(1))
  return children()[0] ?? 0
}

function children(): number[] {
  return descendants(process.pid)
}
