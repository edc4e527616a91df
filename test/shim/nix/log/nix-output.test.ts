import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import type { BuildProgress } from '../../../../shim/nix/log/build-progress.ts'
import { createNixOutput } from '../../../../shim/nix/log/nix-output.ts'

const LOG = { write: async () => {}, close: async () => {} }
const BUILDERS = 64
const LINES = 4
const LONG = 'x'.repeat(250_000)

/** Memory limit of the texts below, however long their lines are. */
const MAX_KEPT_BYTES = 4e6

const nixLine = (fields: object) => `@nix ${JSON.stringify(fields)}`
const derivation = (id: number) => `/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-app${id}.drv`
const starts = Array.from({ length: BUILDERS }, (_, id) =>
  nixLine({ action: 'start', fields: [derivation(id), '', 1, 1], id, level: 3, text: '', type: 105 }),
)

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

function heapUsed(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

test.each<{ what: string; line: (count: number) => string }>([
  {
    what: 'builders',
    line: count => nixLine({ action: 'result', fields: [`${count} ${LONG}`], id: count % BUILDERS, type: 101 }),
  },
  { what: 'nix itself', line: count => nixLine({ action: 'msg', level: 0, msg: `${count} ${LONG}` }) },
  { what: 'programs that nix runs', line: count => `${count} ${LONG}` },
])('remembering pieces of lines of 250 kB from $what does not keep the whole lines in memory', async ({ line }) => {
  const reported: BuildProgress[] = []
  const output = createNixOutput(LOG, progress => reported.push(progress))
  for (const start of starts) await output.read(start)
  const before = heapUsed()
  for (let count = 0; count < BUILDERS * LINES; count += 1) await output.read(line(count))
  expect(heapUsed() - before).toBeLessThan(MAX_KEPT_BYTES)
  // Used here, so that they are not collected earlier.
  expect(reported.length + output.builderTail().length).toBeGreaterThan(0)
  expect(output.errors.length + output.foreign.length + output.builderTail().length).toBeGreaterThan(0)
})

test('a log line is reported up to 4,096 characters and remembered up to 500', async () => {
  const reported: BuildProgress[] = []
  const output = createNixOutput(LOG, progress => reported.push(progress))
  await output.read(nixLine({ action: 'result', fields: [LONG], id: 0, type: 101 }))
  expect(reported).toEqual([{ phase: 'log', line: LONG.slice(0, 4096) }])
  expect(output.builderTail()).toEqual([LONG.slice(0, 500)])
})
