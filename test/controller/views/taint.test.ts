import { describe, expect, it } from 'vitest'
import { keepsOff, parseToleration } from '../../../controller/views/taint.ts'

const TAINT = { key: 'example.com/dedicated', value: 'gpu', effect: 'NoSchedule' }

describe('a taint', () => {
  it.each([
    [TAINT, [], true],
    [{ ...TAINT, effect: 'NoExecute' }, [], true],
    [{ ...TAINT, effect: 'PreferNoSchedule' }, [], false],
    [TAINT, ['example.com/dedicated'], false],
    [TAINT, ['other'], true],
    [TAINT, ['other', 'example.com/dedicated'], false],
    [TAINT, ['example.com/dedicated=gpu'], false],
    [TAINT, ['example.com/dedicated=db'], true],
    [TAINT, ['example.com/dedicated='], true],
    [{ ...TAINT, value: '' }, ['example.com/dedicated='], false],
    [TAINT, ['example.com/dedicated:NoSchedule'], false],
    [TAINT, ['example.com/dedicated:NoExecute'], true],
    [TAINT, ['example.com/dedicated=gpu:NoSchedule'], false],
    [TAINT, ['example.com/dedicated=db:NoSchedule'], true],
  ])('%j with the tolerations %j keeps builds off: %s', (taint, tolerations, expected) => {
    expect(keepsOff(taint, tolerations.map(parseToleration))).toBe(expected)
  })

  it.each(['', '=gpu', ':NoSchedule', 'a=b=c', 'a:Never', 'a:PreferNoSchedule', 'a b', 'a/b/c'])(
    'is not named by the toleration %j',
    text => {
      expect(() => parseToleration(text)).toThrow('expected key[=value][:NoSchedule|:NoExecute]')
    },
  )
})
