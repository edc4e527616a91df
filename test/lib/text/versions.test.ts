import { describe, expect, it } from 'vitest'
import { isOlder } from '../../../lib/text/versions.ts'

describe('a version', () => {
  it.each([
    ['1.5.18', '1.6', true],
    ['1.6.20~ds1', '1.6', false],
    ['2.4.2', '1.6', false],
    ['2.7.9', '2.8', true],
    ['2.26.3', '2.8', false],
    ['2.8', '2.8', false],
    ['3', '2.8', false],
    ['1.30.4+k3s1', '1.31', true],
    ['unknown', '1.6', false],
  ])('%s is older than %s: %s', (version, than, older) => {
    expect(isOlder(version, than)).toBe(older)
  })
})
