import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ErrorCode } from '../../../lib/errors.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import type { CriClient } from '../../node/cri.ts'
import { descendants } from '../../node/process-tree.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'
import { makeFlake, type TestFlake } from '../../shim/nix/flake.ts'

let bed: Bed
let shim: Shim
let cri: CriClient
let flake: TestFlake
beforeAll(async () => {
  bed = await startBed()
  flake = await makeFlake(bed.dir, join(import.meta.dirname, 'noise'))
  shim = await bed.startShim({ config: { nix: { user: bed.buildUser.name, maxEvalMemory: '256MiB' } } })
  cri = bed.cri(shim.socket)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

function pull(packageName: string): Promise<string> {
  const image = `registry.example/noise/${packageName.toLowerCase()}:1`
  return cri.pullImage(recipePull({ image, flakeUrl: flake.url, packageName }))
}

/** The code and the message of the reply to the kubelet. */
async function failureOf(packageName: string): Promise<string> {
  const error: unknown = await pull(packageName).then(
    id => new Error(`it became ${id}`),
    error => error,
  )
  return error instanceof Error ? error.message : String(error)
}

async function logged(packageName: string): Promise<string[]> {
  const lines = (await readFile(shim.daemon.logPath, 'utf8')).split('\n').filter(line => line.startsWith('{'))
  return lines.filter(line => line.includes('pull of a recipe failed') && line.includes(`"package":"${packageName}"`))
}

const ATTACKS: readonly { tries: string; packageName: string; code: ErrorCode; says: RegExp }[] = [
  {
    tries: 'a builder that writes 90,000 records of transfers',
    packageName: 'transfers',
    code: 'BuilderFailed',
    says: /the builder of transfers failed with exit code 1/,
  },
  {
    tries: 'a builder that writes the words of a dead daemon, a full disk and a lost network, as text and as records',
    packageName: 'liar',
    code: 'BuilderFailed',
    says: /the builder of liar failed with exit code 1/,
  },
  {
    tries: 'the same in a derivation that the package needs',
    packageName: 'needsLiar',
    code: 'BuilderFailed',
    says: /the builder of liar failed with exit code 1/,
  },
  {
    tries: 'a builder that writes 64 kB of unfinished terminal escapes in one line',
    packageName: 'escapes',
    code: 'BuilderFailed',
    says: /the builder of escapes failed/,
  },
  {
    tries: 'a builder that paints the terminal of who reads the message',
    packageName: 'painter',
    code: 'BuilderFailed',
    says: /\nred done\n/,
  },
  {
    tries: 'an evaluation that traces 30 errors',
    packageName: 'tracer',
    code: 'EvaluationFailed',
    says: /failed: thrown on purpose\n\(the whole log: /,
  },
  {
    tries: 'a throw in the words of a dead daemon',
    packageName: 'outage',
    code: 'EvaluationFailed',
    says: /failed: unexpected end-of-file\n\(the whole log: /,
  },
  {
    tries: 'an error text of 16 kB that is made for patterns',
    packageName: 'cubic',
    code: 'EvaluationFailed',
    says: /evaluating cubic of \S+ failed/,
  },
  {
    tries: 'twelve names of packages of a megabyte each',
    packageName: 'names.missing',
    code: 'AttributeMissing',
    says: /has no package names\.missing .{1,2000}$/,
  },
  { tries: 'an answer of 4 MB', packageName: 'answer', code: 'EvaluationFailed', says: /nix wrote too much/ },
  {
    tries: 'an imageConfig that is nested 5,000 levels deep',
    packageName: 'nested',
    code: 'EvaluationFailed',
    says: /nested more than|stack overflow|failed/,
  },
  {
    tries: 'an evaluation that takes all memory',
    packageName: 'greedy',
    code: 'EvaluationFailed',
    says: /takes? more memory than 256MiB \(nix\.maxEvalMemory in the config\)/,
  },
]

it.each(ATTACKS)(
  '$tries fails three times with its own error and disturbs no other call',
  async ({ packageName, code, says }) => {
    const { pid } = shim.daemon
    for (let time = 0; time < 3; time += 1) {
      const message = await failureOf(packageName)
      expect(message).toMatch(says)
      expect(message.length).toBeLessThan(8192)
      expect(message).not.toMatch(/[^\P{Cc}\n\t]/u)
    }
    expect((await logged(packageName)).join('\n')).toContain(`"code":"${code}"`)
    await expect(cri.listImages()).resolves.toBeDefined()
    expect(shim.daemon.pid).toBe(pid)
  },
)

it('the kernel kills the processes of a shim before any pod, and a killed one leaves nothing behind', async () => {
  const { pid = 0 } = shim.daemon
  const failure = failureOf('waiting')
  await expect.poll(() => commandsBelow(pid), PATIENT).toContainEqual(expect.stringMatching(/nix build/))
  const started = descendants(pid)
  for (const one of started) expect(await readFile(`/proc/${one}/oom_score_adj`, 'utf8')).toBe('1000\n')
  process.kill(started[0] ?? 0, 'SIGKILL')
  expect(await failure).toMatch(/building waiting of \S+ was interrupted: .{1,100}\(SIGKILL\)$/)
  // Only a helper for the next run remains.
  await expect.poll(() => commandsBelow(pid), PATIENT).toEqual([expect.stringContaining('build-helper')])
  await expect(pull('honest')).rejects.toThrow(/is not an image/)
})

function commandsBelow(pid: number): string[] {
  return descendants(pid).map(readCommand)
}

function readCommand(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return '' // the process has ended meanwhile
  }
}
