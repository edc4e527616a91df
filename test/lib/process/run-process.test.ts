import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ProcessRun, runProcess, SYSTEM_PATH } from '../../../lib/process/run-process.ts'
import { readLines } from '../../../lib/text/lines.ts'
import { PATIENT } from '../../patience.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'run-process-'))
})
afterAll(() => rm(dir, { recursive: true }))

const PATH = SYSTEM_PATH

function runScript(script: string, more: Partial<ProcessRun> = {}) {
  return runProcess({ command: 'sh', args: ['-c', script], env: { PATH }, cwd: '/', ...more })
}

describe('a program', () => {
  test('gives what it wrote and its exit code', async () => {
    await expect(runScript('echo out; echo err >&2; exit 3')).resolves.toMatchObject({
      stdout: 'out\n',
      exitCode: 3,
      killedBy: undefined,
    })
  })

  test('inherits no environment, and runs in its folder', async () => {
    const { stdout } = await runScript('env; pwd', { env: { PATH, ONLY: 'this' }, cwd: '/usr' })
    expect(stdout.split('\n')).toEqual(expect.arrayContaining(['ONLY=this', '/usr']))
    expect(stdout).not.toMatch(/^HOME=/m)
  })

  test('that does not exist rejects with the error of the system', async () => {
    const run = runProcess({ command: '/nonexistent', args: [], env: {}, cwd: '/' })
    await expect(run).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('that is ended by a signal has no exit code', async () => {
    await expect(runScript('kill -9 $$')).resolves.toMatchObject({ exitCode: undefined, killedBy: 'SIGKILL' })
  })

  test('that writes too much runs to its end, and has no exit code', async () => {
    const { stdout, exitCode } = await runScript('yes | head -c 3000000', { maxStdoutLength: 1000 })
    expect(exitCode).toBeUndefined()
    expect(stdout).toHaveLength(1000)
  })

  test('that takes too long is ended', async () => {
    await expect(runScript('sleep 1000', { timeoutMs: 20 })).resolves.toMatchObject({
      timedOut: true,
      exitCode: undefined,
    })
  })

  test('waits while its standard error is not read', async () => {
    const written = join(dir, 'written')
    let wasWritten = true
    await runScript(`yes | head -c 10000000 >&2; touch ${written}`, {
      async readStderr(chunks) {
        for await (const _ of readLines(chunks, 10)) {
          wasWritten = existsSync(written)
          break
        }
        for await (const _ of chunks);
      },
    }).catch(() => {})
    expect(wasWritten).toBe(false)
  })

  test('is ended when reading its standard error fails', async () => {
    const run = runScript('echo $$ >&2; sleep 1000', {
      async readStderr(chunks) {
        for await (const line of readLines(chunks, 100)) throw new Error(line)
      },
    })
    const pid = await run.then(
      () => '',
      ({ message }) => message,
    )
    expect(pid).toMatch(/^\d+$/)
    expect(isRunning(pid)).toBe(false)
  })
})

describe('what a program has started', () => {
  test('is ended with the program when the run is cancelled', async () => {
    const controller = new AbortController()
    const pids: string[] = []
    const run = runScript('sleep 1000 & echo $! >&2; wait', {
      signal: controller.signal,
      async readStderr(chunks) {
        for await (const line of readLines(chunks, 100)) {
          pids.push(line)
          controller.abort()
        }
      },
    })
    await expect(run).resolves.toMatchObject({ exitCode: undefined, killedBy: 'SIGTERM' })
    await untilGone(pids)
  })

  test('is ended even if it and the program ignore SIGTERM', async () => {
    const controller = new AbortController()
    const pids: string[] = []
    const script = 'trap "" TERM; (while :; do sleep 1; done) & echo $! >&2; echo $$ >&2; while :; do sleep 1; done'
    const run = runScript(script, {
      graceMs: 100,
      signal: controller.signal,
      async readStderr(chunks) {
        for await (const line of readLines(chunks, 100)) if (pids.push(line) === 2) controller.abort()
      },
    })
    await expect(run).resolves.toMatchObject({ exitCode: undefined, killedBy: 'SIGKILL' })
    await untilGone(pids)
  })

  test('is ended when the program ends by itself', async () => {
    const { stdout, exitCode } = await runScript('sleep 1000 >/dev/null & echo $!')
    expect(exitCode).toBe(0)
    await untilGone([stdout.trim()])
  })

  test('does not delay the end if it left the group and holds the streams open', async () => {
    const pid = join(dir, 'daemon')
    const read: string[] = []
    const { stdout, exitCode } = await runScript(
      `echo out; echo err >&2; setsid sh -c 'echo $$ >${pid}; exec sleep 1000' & sleep 0.1`,
      {
        async readStderr(chunks) {
          for await (const line of readLines(chunks, 100)) read.push(line)
        },
      },
    )
    process.kill(Number(await readFile(pid, 'utf8')), 'SIGKILL')
    expect({ stdout, exitCode, read }).toEqual({ stdout: 'out\n', exitCode: 0, read: ['err'] })
  })
})

test('a program whose run is cancelled before it starts does not run to its end', async () => {
  const done = join(dir, 'done')
  const run = runScript(`sleep 1; touch ${done}`, { signal: AbortSignal.abort() })
  await expect(run).resolves.toMatchObject({ exitCode: undefined, killedBy: 'SIGTERM' })
  expect(existsSync(done)).toBe(false)
})

/** A process that has ended may stay as a zombie until its new parent asks for it. */
function isRunning(pid: string): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

async function untilGone(pids: readonly string[]): Promise<void> {
  await expect.poll(() => pids.filter(isRunning), PATIENT).toEqual([])
}
