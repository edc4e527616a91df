import { expect, test } from 'vitest'
import { chainOf, chainsOf } from '../../../shim/containerd/chain.ts'

const ONE = `sha256:${'1'.repeat(64)}`
const TWO = `sha256:${'2'.repeat(64)}`

test('the chain of a first layer is its diffID', () => {
  expect(chainOf('', ONE)).toBe(ONE)
})

test('the chain of a layer on top of another is the digest of both', () => {
  // printf 'sha256:111… sha256:222…' | sha256sum
  expect(chainOf(ONE, TWO)).toBe('sha256:9932074217c35353d2e03a3f5a86549f7c67bfeb0ba53e23d69f4d4c8f7958f5')
})

test('each layer of an image has a chain, bottom first', () => {
  expect(chainsOf([ONE, TWO])).toEqual([ONE, chainOf(ONE, TWO)])
  expect(chainsOf([])).toEqual([])
})
