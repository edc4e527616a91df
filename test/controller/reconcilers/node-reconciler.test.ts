import { describe, expect, it } from 'vitest'
import { planKeeping } from '../../../controller/reconcilers/node-reconciler.ts'

const KEEP = 'cluster-autoscaler.kubernetes.io/scale-down-disabled'
const MARK = 'enbi.hrzn.ee/scale-down-disabled'

describe('the annotation for the cluster autoscaler', () => {
  it.each([
    ['is set on a builder', { value: undefined, byUs: false }, true, { [KEEP]: 'true', [MARK]: 'true' }],
    ['is set again if somebody removes it', { value: undefined, byUs: true }, true, { [KEEP]: 'true', [MARK]: 'true' }],
    ['stays on a builder', { value: 'true', byUs: true }, true, undefined],
    [
      'is removed from a node that builds no more',
      { value: 'true', byUs: true },
      false,
      { [KEEP]: null, [MARK]: null },
    ],
    ['is not set on other nodes', { value: undefined, byUs: false }, false, undefined],
    ["keeps a user's value on a builder", { value: 'false', byUs: false }, true, undefined],
    ["keeps a user's value on other nodes", { value: 'true', byUs: false }, false, undefined],
    ['is given up if a user changes it during a build', { value: 'false', byUs: true }, true, { [MARK]: null }],
    ['is given up if a user changes it and the build ends', { value: 'false', byUs: true }, false, { [MARK]: null }],
    [
      'leaves no mark if somebody removes it and the build ends',
      { value: undefined, byUs: true },
      false,
      { [MARK]: null },
    ],
  ])('%s', (_name, keep, isBuilder, change) => {
    expect(planKeeping(keep, isBuilder)).toEqual(change)
  })
})
