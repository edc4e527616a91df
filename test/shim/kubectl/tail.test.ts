import { expect, it } from 'vitest'
import { createTailReader } from '../../../shim/kubectl/tail.ts'

const read = (...tails: readonly (string | undefined)[]) => {
  const reader = createTailReader()
  return tails.map(logTail => reader({ logTail, buildJobName: 'run' }))
}

it('the whole tail is new at first, and then only what comes after it', () => {
  expect(read('a\nb', 'a\nb', 'b\nc\nd', undefined)).toEqual([['a', 'b'], [], ['c', 'd'], []])
})

it('a mark stands for lines that came and went in between', () => {
  expect(read('a\nb', 'x\ny')).toEqual([
    ['a', 'b'],
    ['…', 'x', 'y'],
  ])
})

it('another run starts from its first line', () => {
  const reader = createTailReader()
  reader({ logTail: 'a\nb', buildJobName: '1' })
  expect(reader({ logTail: 'a', buildJobName: '2' })).toEqual(['a'])
})

it('terminal escapes are removed', () => {
  expect(read('\u001b[2Ja')).toEqual([['a']])
})
