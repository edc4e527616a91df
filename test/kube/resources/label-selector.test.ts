import { describe, expect, it } from 'vitest'
import { labelMatcher, parseLabelSelector } from '../../../kube/resources/label-selector.ts'

const LABELS = { pool: 'build', 'node-role.kubernetes.io/control-plane': '', zone: 'b' }

describe('a label selector', () => {
  it.each([
    ['pool=build', true],
    ['pool==build', true],
    ['pool = build', true],
    ['pool=other', false],
    ['pool!=build', false],
    ['pool!=other', true],
    ['missing!=other', true],
    ['pool', true],
    ['missing', false],
    ['!missing', true],
    ['! missing', true],
    ['!pool', false],
    ['node-role.kubernetes.io/control-plane', true],
    ['node-role.kubernetes.io/control-plane=', true],
    ['zone in (a,b)', true],
    ['zone in ( a , b )', true],
    ['zone in (a)', false],
    ['zone in (a,)', false],
    ['missing in (a)', false],
    ['zone notin (a,b)', false],
    ['zone notin (a)', true],
    ['missing notin (a)', true],
    ['pool=build,zone in (a,b),!missing', true],
    ['pool=build,zone in (a,c)', false],
    ['pool=build, zone=c', false],
    ['constructor', false],
    ['!constructor', true],
    ['in', false],
    ['notin=x', false],
  ])('%s matches: %s', (text, matches) => {
    expect(labelMatcher(parseLabelSelector(text))(LABELS)).toBe(matches)
  })

  it('may have labels, too, and selects everything if it is empty', () => {
    const selects = labelMatcher({ matchLabels: { pool: 'build', zone: 'b' } })
    expect([selects(LABELS), selects({ pool: 'build' }), labelMatcher({})({})]).toEqual([true, false, true])
  })

  it.each([
    [''],
    [','],
    ['a=1,'],
    ['a=1,,b=2'],
    ['a=1 b=2'],
    ['a in b'],
    ['a in (b'],
    ['a in ()b'],
    ['=a'],
    ['a=b=c'],
    ['a>1'],
    ['!a=1'],
    ['-a=1'],
    ['a=-'],
    [`${'k'.repeat(64)}=1`],
    ['a/b/c=1'],
  ])('%j is invalid, and the error shows the place', text => {
    expect(() => parseLabelSelector(text)).toThrow(/is not a label selector, at "/)
  })
})
