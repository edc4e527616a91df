import { expect, test } from 'vitest'
import { type ErrorCode, reviveError } from '../../../../lib/errors.ts'
import { canBeLocked, evaluateConfirmed } from '../../../../shim/nix/evaluate/evaluate.ts'

test.each([
  { url: 'path:/srv/app', can: true },
  { url: 'git+https://git.example/app?ref=refs/heads/main&rev=0123&dir=sub&shallow=1', can: true },
  { url: 'tarball+https://host.example/a.tar.gz?narHash=sha256-x', can: true },
  { url: 'git+https://git.example/app?submodules=1', can: false },
  { url: 'git+https://git.example/app?ref=main&allRefs=1', can: false },
  { url: 'gitlab:team/app?host=gitlab.example', can: false },
  { url: 'git+https://git.example/app?lfs=1', can: false },
])('whether the locked URL keeps all of $url is $can', ({ url, can }) => {
  expect(canBeLocked(url)).toBe(can)
})

const signal = new AbortController().signal

test.each<{
  first: ErrorCode
  fetch: ErrorCode | 'ok'
  again: ErrorCode | 'ok'
  ends: ErrorCode | 'ok'
  steps: string
  isDiskFull?: boolean
}>([
  { first: 'EvaluationFailed', fetch: 'ok', again: 'ok', ends: 'EvaluationFailed', steps: 'evaluate' },
  { first: 'NixDaemonAway', fetch: 'NixDaemonAway', again: 'ok', ends: 'NixDaemonAway', steps: 'evaluate fetch' },
  { first: 'NixDaemonAway', fetch: 'ok', again: 'ok', ends: 'ok', steps: 'evaluate fetch untrusted' },
  {
    first: 'DiskFull',
    fetch: 'ok',
    again: 'EvaluationFailed',
    ends: 'EvaluationFailed',
    steps: 'evaluate fetch untrusted',
  },
  { first: 'DiskFull', isDiskFull: true, fetch: 'ok', again: 'ok', ends: 'DiskFull', steps: 'evaluate' },
  { first: 'FlakeNotFound', fetch: 'FlakeNotFound', again: 'ok', ends: 'FlakeNotFound', steps: 'evaluate fetch' },
  { first: 'FlakeNotFound', fetch: 'ok', again: 'ok', ends: 'EvaluationFailed', steps: 'evaluate fetch' },
  { first: 'BuilderFailed', fetch: 'ok', again: 'ok', ends: 'EvaluationFailed', steps: 'evaluate' },
])(
  'an evaluation that fails as $first, where its inputs come $fetch, ends $ends',
  async ({ first, fetch, again, ends, steps, isDiskFull = false }) => {
    const done: string[] = []
    const step = async (name: string, outcome: ErrorCode | 'ok') => {
      done.push(name)
      if (outcome !== 'ok') throw reviveError(outcome, 'x')
      return 'ok'
    }
    const result = await evaluateConfirmed({
      evaluate: ({ isUntrusted }) => (isUntrusted ? step('untrusted', again) : step('evaluate', first)),
      fetchAll: async () => void (await step('fetch', fetch)),
      isDiskFull: async () => isDiskFull,
      signal,
    }).catch((error: { code: string }) => error.code)
    expect(result).toBe(ends)
    expect(done.join(' ')).toBe(steps)
  },
)
