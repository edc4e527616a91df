import fc from 'fast-check'
import { expect, it } from 'vitest'
import { explainFailure } from '../../shim/nix/failure/explain-failure.ts'
import { MAX_ACTIVITIES } from '../../shim/nix/log/activities.ts'
import type { BuildProgress } from '../../shim/nix/log/build-progress.ts'
import { createNixOutput } from '../../shim/nix/log/nix-output.ts'
import { recipeOf } from '../shim/nix/remote-builder.ts'
import { made } from './runs.ts'

const LOG = { write: async () => {}, close: async () => {} }
/** Text without control characters other than tab and newline, and without marks that change the writing direction. */
const UNCLEAN = /[^\P{Cc}\t\n]|[\u202a-\u202e\u2066-\u2069]/u

const number = fc.oneof(
  fc.integer({ min: 0, max: 3 }),
  fc.constantFrom(0, 1, 3, 99, 100, 101, 104, 105, 106, 107),
  fc.double(),
  fc.maxSafeInteger(),
)
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({
    unit: fc.constantFrom('\u001b', '[', ']', '31m', '\u0007', '\r', '\n', 'a', '\u009b', "'", '/nix/store/', '\\'),
  }),
  fc.constantFrom(
    'error: out of memory',
    "builder for '/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-app.drv' failed with exit code 1",
    "Cannot build '/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-app.drv'.\n       Reason: builder failed with exit code 1.",
    "1 dependencies of derivation '/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-app.drv' failed to build",
    "program 'git' failed with exit code 128",
    "getting status of '/nix/store",
  ),
)
const fields = fc.oneof(fc.array(fc.oneof(text, number), { maxLength: 5 }), fc.jsonValue())
const record = fc.oneof(
  fc.record({ action: fc.constant('start'), id: number, type: number, text, fields }, { requiredKeys: ['action'] }),
  fc.record({ action: fc.constant('stop'), id: number }, { requiredKeys: ['action'] }),
  fc.record({ action: fc.constant('result'), id: number, type: number, fields }, { requiredKeys: ['action'] }),
  fc.record(
    { action: fc.constant('msg'), level: number, msg: text, raw_msg: text, column: number, file: text, line: number },
    { requiredKeys: ['action'] },
  ),
  fc.jsonValue(),
)
const line = fc.oneof(
  { weight: 8, arbitrary: record.map(value => `@nix ${JSON.stringify(value)}`) },
  {
    weight: 2,
    arbitrary: fc.tuple(record, fc.nat(200)).map(([value, end]) => `@nix ${JSON.stringify(value).slice(0, end)}`),
  },
  { weight: 1, arbitrary: text },
)

it('arbitrary log lines of Nix lead to bounded and clean progress, and to a ShimError', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 60 }), async lines => {
      const told: BuildProgress[] = []
      const { read, errors, foreign, builderTail } = createNixOutput(LOG, progress => told.push(progress))
      for (const each of lines) await read(each)
      for (const progress of told) {
        if (progress.phase === 'log') expect(progress.line.length).toBeLessThanOrEqual(4096)
        for (const value of Object.values(progress)) {
          if (typeof value === 'number') expect(Number.isSafeInteger(value) && value >= 0).toBe(true)
          else expect(value).not.toMatch(UNCLEAN)
        }
      }
      const error = explainFailure({
        recipe: recipeOf('github:owner/repo', 'app'),
        runId: 'run',
        stateDir: '/var/lib/enbi-shim',
        logs: '/var/lib/enbi-shim/logs',
        step: 'building',
        maxEvalMemory: 2 ** 32,
        exit: { exitCode: 1, killedBy: undefined },
        errors,
        foreign,
        builderTail,
      })
      expect(error.message.length).toBeLessThan(8192)
      expect(error.message).not.toMatch(UNCLEAN)
    }),
    made(300),
  )
})

it('activities that never end are counted only up to a limit', async () => {
  let last: BuildProgress | undefined
  const { read } = createNixOutput(LOG, progress => {
    last = progress
  })
  for (let id = 0; id < 2 * MAX_ACTIVITIES; id += 1) {
    await read(`@nix ${JSON.stringify({ action: 'start', id, type: 101 })}`)
    await read(`@nix ${JSON.stringify({ action: 'result', id, type: 105, fields: [1, 2] })}`)
  }
  expect(last).toEqual({ phase: 'fetching', doneBytes: MAX_ACTIVITIES, expectedBytes: 2 * MAX_ACTIVITIES })
})
