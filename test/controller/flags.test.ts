import { describe, expect, it } from 'vitest'
import { addToleration, readAge, readCount, readDuration, readListenAddress } from '../../controller/flags.ts'

describe('the flags', () => {
  it.each([
    ['127.0.0.1:9470', { host: '127.0.0.1', port: 9470 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['[::1]:9470', { host: '::1', port: 9470 }],
    [':9470', { host: '::', port: 9470 }],
  ])('accept the address %s', (text, address) => {
    expect(readListenAddress(text)).toEqual(address)
  })

  it.each(['9470', '127.0.0.1', '::1:9470', 'a:b', '127.0.0.1:70000', ''])('reject the address %j', text => {
    expect(() => readListenAddress(text)).toThrow('HOST:PORT')
  })

  it.each([
    ['168h', 604_800_000],
    ['1s', 1000],
    ['30d', 2_592_000_000],
    ['2w', 1_209_600_000],
  ])('accept the age %s', (text, age) => {
    expect(readAge(text)).toBe(age)
  })

  it.each(['', '0s', '-1h', '1', 'forever', '1 h'])('reject the age %j', text => {
    expect(() => readAge(text)).toThrow('expected an age')
  })

  it.each(['0s', '25d', '1', ''])('reject the duration %j', text => {
    expect(() => readDuration(text)).toThrow('expected a duration')
  })

  it.each(['-1', '1.5', '101', '', '1e2', 'x'])('reject the count %j', text => {
    expect(() => readCount(0, 100)(text)).toThrow('from 0 to 100')
  })

  it('collect tolerations', () => {
    const first = addToleration('dedicated=builds', [])
    const spot = { key: 'example.com/spot', value: undefined, effect: 'NoSchedule' }
    expect(addToleration('example.com/spot:NoSchedule', first)).toEqual([
      { key: 'dedicated', value: 'builds', effect: undefined },
      spot,
    ])
  })

  it.each(['', 'a=b=c', 'a:Never'])('reject the toleration %j', text => {
    expect(() => addToleration(text, [])).toThrow('is not a toleration')
  })

  it('accept a count', () => {
    expect(readCount(0, 100)('100')).toBe(100)
  })
})
