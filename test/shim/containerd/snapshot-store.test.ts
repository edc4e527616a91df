import { expect, test } from 'vitest'
import { chainOf, chainsOf } from '../../../shim/containerd/snapshot-store.ts'

const ONE = `sha256:${'1'.repeat(64)}`
const TWO = `sha256:${'2'.repeat(64)}`

test('the chainID of the bottom layer is its diffID', () => {
  expect(chainOf('', ONE)).toBe(ONE)
})

test('the chainID of another layer is the digest of the chainID below and its diffID', () => {
  // printf 'sha256:111… sha256:222…' | sha256sum
  expect(chainOf(ONE, TWO)).toBe('sha256:9932074217c35353d2e03a3f5a86549f7c67bfeb0ba53e23d69f4d4c8f7958f5')
})

test('chainsOf returns the chainID of each layer, bottom first', () => {
  expect(chainsOf([ONE, TWO])).toEqual([ONE, chainOf(ONE, TWO)])
  expect(chainsOf([])).toEqual([])
})
