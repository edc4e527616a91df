import { join } from 'node:path'
import { execa } from 'execa'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { normalizeReference } from '../../recipes/reference.ts'
import { CONTAINERD } from '../setup/go/programs.mjs'
import { made } from './runs.ts'

/** A reference as the shim parses it, or undefined if the shim rejects it. */
function ours(reference: string): string | undefined {
  try {
    return normalizeReference(reference)
  } catch (error) {
    expect(error).toMatchObject({ code: 'RecipeInvalid' })
    return undefined
  }
}

/** The references as containerd parses them. */
async function containerds(references: readonly string[]): Promise<(string | null)[]> {
  const input = references.map(reference => JSON.stringify(reference)).join('\n')
  const { stdout } = await execa(join(CONTAINERD.dir, 'parse-reference'), { input })
  return stdout.split('\n').map(line => JSON.parse(line))
}

const text = (characters: string, maxLength: number) => fc.string({ unit: fc.constantFrom(...characters), maxLength })
const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
const oneOf = (...texts: string[]) => fc.constantFrom(...texts)

const host = fc.oneof(
  oneOf(
    '',
    '',
    'docker.io',
    'index.docker.io',
    'localhost',
    'localhost:5000',
    'registry.example',
    'r.example:1',
    '[::1]:5000',
    '[fe80::1]',
    '1.2.3.4',
    'nix:0',
    'A.example',
    '-x.example',
    'x-.example',
    'r.example:',
    'r..example',
    'registry',
  ),
  text('abAB01.-_:[]', 20),
)
const segment = fc.oneof(
  oneOf('library', 'app', 'a.b', 'a__b', 'a___b', 'a--b', 'a_.b', 'A', '', '.', '..', 'x_'),
  text('abz019._-A@:', 12),
)
const tag = fc.oneof(
  oneOf(
    '',
    '',
    ':1',
    ':latest',
    ':',
    ':-x',
    ':_',
    ':1:2',
    ':v1.0-rc.1',
    ':A_b',
    `:${'x'.repeat(128)}`,
    `:${'x'.repeat(129)}`,
  ),
  text(':abAB01._-', 10),
)
const digest = fc.oneof(
  oneOf('', '', '@', '@sha256:', '@sha256:abc', '@md5:0123456789abcdef0123456789abcdef'),
  fc
    .tuple(oneOf('sha256', 'sha512', 'sha384', 'SHA256', 'sha256+b', 'x'), oneOf('64', '128', '96', '63', '32'))
    .chain(([algorithm, length]) => hex(Number(length)).map(digits => `@${algorithm}:${digits}`)),
  hex(64).map(digits => `@sha256:${digits.toUpperCase()}`),
)
const wellFormed = fc
  .tuple(host, fc.array(segment, { minLength: 1, maxLength: 4 }), tag, digest)
  .map(
    ([name, path, ...rest]) =>
      [name, ...path].filter((part, index) => index > 0 || part !== '').join('/') + rest.join(''),
  )
/** Replaces one character by another one. */
const mutated = fc
  .tuple(wellFormed, fc.nat(200), fc.string({ unit: 'binary', maxLength: 2 }))
  .map(([reference, at, piece]) => reference.slice(0, at) + piece + reference.slice(at + 1))
/** Inputs that a regular expression with much backtracking would take long for. */
const repeated = fc
  .tuple(
    fc.array(oneOf('a', '-', '_', '__', '.', '/', ':', '@', '0', 'sha256:'), { minLength: 1, maxLength: 3 }),
    fc.nat(500),
    oneOf('', '!', ':', '-'),
  )
  .map(([pieces, times, end]) => `a${pieces.join('').repeat(times)}${end}`)
const reference = fc.oneof(wellFormed, mutated, repeated, fc.string({ unit: 'binary' }), hex(64))

it('a reference that the shim accepts means the same to containerd', async () => {
  const references = fc.sample(reference, made(5_000)).filter(one => one.isWellFormed() && ours(one) !== undefined)
  expect(references.length).toBeGreaterThan(10)
  const theirs = await containerds(references)
  const compared = references.map((one, index) => ({ reference: one, ours: ours(one), containerds: theirs[index] }))
  expect(compared.filter(one => one.ours !== one.containerds)).toEqual([])
})
