import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createHelperPool, type HelperProgram, type HelperRun } from '../../../lib/process/helper-pool.ts'
import { createSpares } from '../../../lib/process/spares.ts'
import { descendants } from '../../node/process-tree.ts'
import { PATIENT } from '../../patience.ts'
import { programOf } from './helper-programs.ts'

const PID = programOf('reporting-pid')
const RUN: HelperRun<unknown, unknown> = {
  job: {},
  signal: new AbortController().signal,
  parse: report => report,
  onReport: report => report,
}
const LATER = { afterMs: 60_000 }

afterEach(() => children().forEach(pid => void process.kill(pid, 'SIGKILL')))

describe('a helper', () => {
  it('gets a job with any line separators in it', async () => {
    const job = { text: 'one\u2028two\u2029three\u0085four\rfive' }
    expect(await createHelperPool(programOf('echoing'), LATER).run({ ...RUN, job })).toEqual(job)
  })

  it('leaves its compiled code for the next one', async () => {
    const compileCache = await mkdtemp(join(tmpdir(), 'compiled-'))
    // The helper may still write.
    onTestFinished(() => rm(compileCache, { recursive: true, maxRetries: 20, retryDelay: 100 }))
    vi.stubEnv('NODE_COMPILE_CACHE', '')
    onTestFinished(() => void vi.unstubAllEnvs())
    await createHelperPool({ ...programOf('echoing'), compileCache }, LATER).run(RUN)
    await expect.poll(() => readdirSync(compileCache, { recursive: true }).length, PATIENT).toBeGreaterThan(1)
  })

  it('gets answers to what it asks', async () => {
    const pool = createHelperPool({ ...programOf('asking'), isReused: true })
    const ask = (answer: string) =>
      pool.run({
        ...RUN,
        onReport(report, send) {
          if (!JSON.stringify(report).includes('question')) return report
          void send(answer)
          return undefined
        },
      })
    expect(await ask('one')).toEqual({ answer: 'one' })
    expect(await ask('two\nlines')).toEqual({ answer: 'two\nlines' })
  })

  it('that cannot be started only fails its own run', async () => {
    const unhandled = noteUnhandled()
    useProgram('/no/such/program')
    await expect(createHelperPool(PID, LATER).run(RUN)).rejects.toThrow(/could not be started .*ENOENT/)
    expect(unhandled).toEqual([])
  })

  it('is ended if its report is invalid', async () => {
    const parse = () => {
      throw new Error('not what I want')
    }
    await expect(createHelperPool(PID, LATER).run({ ...RUN, parse })).rejects.toThrow('sent an invalid report')
    await untilNone()
  })

  it('is ended if its report cannot be handled, and is not blamed', async () => {
    const mistake = new TypeError('a mistake of ours')
    const onReport = () => {
      throw mistake
    }
    await expect(createHelperPool(PID, LATER).run({ ...RUN, onReport })).rejects.toBe(mistake)
    await untilNone()
  })

  it('is ended after its last report even if it continues to work', async () => {
    const program = { ...programOf('never-ending'), graceMs: 1 }
    expect(await createHelperPool(program, LATER).run(RUN)).toBe('all')
    await untilNone()
  })

  it('does not hold up a cancelled run if it cannot be ended', async () => {
    const kill = process.kill.bind(process)
    const killing = vi.spyOn(process, 'kill').mockReturnValue(true)
    onTestFinished(() => killing.mockRestore())
    const signal = AbortSignal.abort()
    const program = { ...programOf('never-ending'), graceMs: 1 }
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const onReport = () => undefined
    const failure = expect(createHelperPool(program).run({ ...RUN, signal, onReport })).rejects.toThrow(
      'cannot be ended',
    )
    await vi.waitFor(() => expect(killing).toHaveBeenCalled(), PATIENT)
    await vi.advanceTimersByTimeAsync(60_000)
    await failure
    for (const pid of children()) kill(pid, 'SIGKILL')
  })

  it('has the limit of memory that its program wants', async () => {
    const onReport = (pid: unknown) => readFileSync(`/proc/${pid}/limits`, 'utf8')
    const limits = await createHelperPool({ ...PID, dataLimitKib: 1024 * 1024 }, LATER).run({ ...RUN, onReport })
    expect(limits).toMatch(/Max data size +1073741824 +1073741824/)
  })
})

describe('a helper that is not reused', () => {
  it('has one job, and the next is started after it', async () => {
    const run = makeRun()
    const first = await run()
    const spare = await untilStarted(first)
    expect(await run()).toBe(spare)
    expect(await untilStarted(spare)).not.toBe(spare)
  })

  it('is not started in advance while other runs continue', async () => {
    const run = makeRun()
    const pids = await Promise.all([run(), run(), run()])
    expect(new Set(pids).size).toBe(3)
    await untilStarted(...pids)
  })

  it('is not started in advance while something else needs the memory', async () => {
    const answers = [false, false]
    const run = makeRun(PID, () => answers.pop() ?? true)
    await untilStarted(await run())
    expect(answers).toEqual([])
  })

  it('may be killed while it waits, which does not fail the next run', async () => {
    const run = makeRun()
    const spare = await untilStarted(await run())
    process.kill(spare, 'SIGKILL')
    await untilNone()
    const next = await run()
    expect(next).not.toBe(spare)
    await untilStarted(next)
  })

  it('is not started in advance after a cancelled run', async () => {
    const signal = AbortSignal.abort()
    await expect(createHelperPool(PID, { afterMs: 1 }).run({ ...RUN, signal })).rejects.toThrow('ended (')
    await delay(20)
    // The one that was cancelled may take a while to end.
    await expect.poll(children, PATIENT).toEqual([])
  })

  it('warms up once while it waits, but not if its job has arrived', async () => {
    const run = makeRun(programOf('warming-up'))
    expect(await run()).toBe(0)
    await vi.waitFor(async () => expect(await run()).toBe(1), { ...PATIENT, interval: 500 })
  })
})

describe('a helper that is reused', () => {
  const program = { ...PID, isReused: true }

  it('has one job after another', async () => {
    const pool = createHelperPool(program)
    const first = await pool.run(RUN)
    expect([await pool.run(RUN), await pool.run(RUN)]).toEqual([first, first])
  })

  it('is ended after a failure', async () => {
    const pool = createHelperPool(program)
    const onReport = (pid: unknown) => {
      throw new Error(`${pid}`)
    }
    await expect(pool.run({ ...RUN, onReport })).rejects.toThrow()
    await untilNone()
    await pool.run(RUN)
  })
})

describe('a waiting helper', () => {
  it('is ended if nobody takes it', async () => {
    const spares = createSpares<ChildProcess>(
      () => spawn('sleep', ['1000']),
      child => child,
      1,
    )
    const child = spares.take()
    spares.keep(child)
    await once(child, 'exit')
    expect(child.signalCode).toBe('SIGKILL')
  })

  it.each(['new', 'reused'])('neither keeps the daemon running nor outlives it (%s)', async kind => {
    const daemon = spawn(process.execPath, [join(import.meta.dirname, 'run-once.ts'), kind], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const [reported] = await once(daemon.stdout, 'data')
    expect(Number(String(reported))).toBeGreaterThan(0)
    // The streams close only after the waiting helper has closed its ends.
    expect(await once(daemon, 'close')).toEqual([0, null])
  })

  it('works for a daemon whose priority is so low that it may not raise it', async () => {
    const lowest = ['-n', '15', process.execPath, join(import.meta.dirname, 'run-once.ts')]
    const unprivileged = ['--bounding-set', '-sys_nice', 'nice', ...lowest]
    const daemon = spawn('setpriv', unprivileged, { stdio: ['ignore', 'pipe', 'inherit'] })
    const [reported] = await once(daemon.stdout, 'data')
    expect(Number(String(reported))).toBeGreaterThan(0)
    expect(await once(daemon, 'close')).toEqual([0, null])
  })
})

function makeRun(program: HelperProgram = PID, isIdle?: () => boolean): () => Promise<unknown> {
  const pool = createHelperPool(program, { afterMs: 1, isIdle })
  return () => pool.run(RUN)
}

function useProgram(path: string): void {
  const { execPath } = process
  onTestFinished(() => {
    process.execPath = execPath
  })
  process.execPath = path
}

function noteUnhandled(): unknown[] {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', note)
  onTestFinished(() => void process.off('unhandledRejection', note))
  return unhandled
}

/** Process id of the only waiting helper, once the earlier ones have ended. */
async function untilStarted(...earlier: readonly unknown[]): Promise<number> {
  await vi.waitFor(() => {
    expect(children()).toHaveLength(1)
    expect(earlier).not.toContain(children()[0])
  }, PATIENT)
  return children()[0] ?? 0
}

async function untilNone(): Promise<void> {
  await vi.waitFor(() => expect(children()).toEqual([]), PATIENT)
}

function children(): number[] {
  return descendants(process.pid)
}
