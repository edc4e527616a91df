import { expect, test } from 'vitest'
import { evaluationArgs, readEvaluation } from '../../../shim/nix/evaluate/evaluate.ts'
import { readVersion, supportsLeadingDot } from '../../../shim/nix/process/nix-version.ts'
import { readRealisation, realisationArgs } from '../../../shim/nix/store/realise.ts'
import { recipeOf } from './remote-builder.ts'

const HASH = '0ccnxa25whszw7mgbgyzdm4nqc0zwnm8'
const DERIVATION = {
  kind: 'derivation',
  drvPath: `/nix/store/${HASH}-app.drv`,
  output: 'out',
  nixVersion: '2.34.8',
} as const
const RECIPE = recipeOf('github:owner/repo', 'app')

test('a value cannot escape from its string in an expression', () => {
  const recipe = { ...RECIPE, system: `\${abort "x"}"\\` }
  expect(evaluationArgs(recipe, { url: 'path:/a', leadingDot: true }).at(-1)).toContain(
    `system = "\\\${abort \\"x\\"}\\"\\\\";`,
  )
})

test.each([
  ['nix (Nix) 2.8.0', false],
  ['nix (Nix) 2.18.8', false],
  ['nix (Nix) 2.19.0', true],
  ['nix (Nix) 2.20.0pre20231214_0a3a2d3', true],
  ['nix (Determinate Nix 3.11.2) 2.31.1', true],
  ['nix (Lix, like Nix) 2.93.3', false],
  ['nix (Nix) 3.0', true],
  ['', false],
])('whether the version %j supports a leading dot is %j', (words, expected) => {
  expect(supportsLeadingDot(readVersion(`${words}\n`))).toBe(expected)
})

test.each([
  ['2.8.0', `/nix/store/${HASH}-app.drv`],
  ['2.12.1', `/nix/store/${HASH}-app.drv`],
  ['2.13.0', `/nix/store/${HASH}-app.drv^out`],
  ['2.18.3-lix', `/nix/store/${HASH}-app.drv^out`],
  ['2.35pre20260101_abc', `/nix/store/${HASH}-app.drv^out`],
  ['3.0', `/nix/store/${HASH}-app.drv^out`],
])('Nix %s builds the installable %s', (nixVersion, installable) => {
  expect(realisationArgs({ ...DERIVATION, nixVersion }, '/link')).toContain(installable)
})

test.each(['', 'null', '[]', '{"kind":"derivation"}', JSON.stringify({ ...DERIVATION, drvPath: '/etc/x.drv' }), '{'])(
  'the answer %j of an evaluation is refused',
  answer => {
    expect(() => readEvaluation(RECIPE, answer)).toThrow(expect.objectContaining({ code: 'EvaluationFailed' }))
  },
)

test.each([
  '',
  '[]',
  '[{"outputs":{}}]',
  `[{"outputs":{"doc":"/nix/store/${HASH}-app"}}]`,
  '[{"outputs":{"out":null}}]',
  '[{"outputs":{"out":"/etc/passwd"}}]',
  `[{"outputs":{"out":"/nix/store/${HASH}-app/../../etc"}}]`,
  `[{"outputs":{"out":"/nix/store/${HASH}-app\\n"}}]`,
  `[{"outputs":{"out":"/nix/store/short-app"}}]`,
])('the build answer %j is rejected', answer => {
  expect(() => readRealisation('app of it', DERIVATION.output, answer)).toThrow(
    expect.objectContaining({ code: 'BuildInterrupted' }),
  )
})

function missing(names: readonly string[]): string {
  return JSON.stringify({ kind: 'missing', name: 'packge-77', count: names.length, names, outputs: ['packages'] })
}

test('an error suggests the most similar of many names', () => {
  const names = Array.from({ length: 2_000 }, (_, index) => `package-${index}`)
  expect(() => readEvaluation(RECIPE, missing(names))).toThrow(
    /has no package app for x86_64-linux; did you mean package-77\? There are 2000: package-0, package-1, .*, package-11 …$/,
  )
})

test.each([
  { what: 'too many names', names: Array.from({ length: 2_001 }, () => 'a') },
  { what: 'a name that is too long', names: ['a'.repeat(101)] },
])('an answer with $what is rejected', ({ names }) => {
  expect(() => readEvaluation(RECIPE, missing(names))).toThrow(expect.objectContaining({ code: 'EvaluationFailed' }))
})
