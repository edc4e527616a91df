import { expect, test } from 'vitest'
import { answerParts, joinParts } from '../../../../shim/import/helper/closure-query.ts'
import { storePathInfo } from '../closure.ts'

/** A very large closure: 100,000 references of the greatest length. */
function largest() {
  const paths = Array.from(
    { length: 5_000 },
    (_, place) => `/nix/store/${String(place).padStart(32, '0')}-${'x'.repeat(211)}`,
  )
  return paths.map((path, place) => storePathInfo(path, paths.slice(place, place + 20)))
}

test.each([true, false])('what Nix knows of a closure is sent in short messages (with references: %s)', references => {
  const infos = largest()
  const parts = [...answerParts(infos, { id: 1, references })]
  expect(Math.max(...parts.map(part => JSON.stringify(part).length))).toBeLessThan(150_000)
  expect(parts.findIndex(({ isLast }) => isLast)).toBe(parts.length - 1)
  expect(joinParts(parts)).toEqual(references ? infos : infos.map(info => ({ ...info, references: [] })))
})
