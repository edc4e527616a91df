import { describe, expect, it } from 'vitest'
import { planNixNode, planNodeBuilds } from '../../../controller/plan/plan-nixnode.ts'
import { type NixNodeSpecView, nixNodeView } from '../../../controller/views/nixnode.ts'
import { nixNodes } from '../../../kube/resources/nixnode.ts'

const RECIPE = { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' }
const ASSIGNED = { key: 'team/app', recipe: RECIPE }

interface Wanted {
  readonly assigned?: NixNodeSpecView['assigned']
  readonly letGo?: readonly string[]
  readonly namespaces?: readonly string[]
  readonly node?: string
}

/** What is written to a NixNode with that spec, which the Node `node-uid` owns. */
function plan(spec: object, { assigned = [], letGo = [], namespaces = [], node = 'node-uid' }: Wanted = {}) {
  const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: 'a', uid: 'node-uid' }]
  const metadata = { name: 'a', uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
  const parsed = nixNodes.parse({ metadata: { ...metadata, ownerReferences }, spec })
  const nixNode = nixNodeView(parsed, { ofRecipe: () => new Map(), isWatched: () => false, now: 0 })
  const lookups = planNixNode({ nixNode, spec: nixNode.spec, node, namespaces: new Set(namespaces) })
  const builds = planNodeBuilds(nixNode.spec, { assigned, letGo })
  return lookups || builds ? { ...lookups, ...builds } : undefined
}

const asWritten = { namespace: 'team', name: 'app', recipe: RECIPE }

describe('a NixNode', () => {
  it.each([
    ['that is new', {}, {}, true],
    ['that is as it should be', { namespaces: [] }, {}, false],
    ['whose Node is another one', { namespaces: [] }, { node: 'another' }, true],
    ['that lacks a build', { namespaces: [] }, { assigned: [ASSIGNED] }, true],
    ['that has its build', { namespaces: [], assigned: [asWritten] }, { assigned: [ASSIGNED] }, false],
    [
      'that has another recipe',
      { namespaces: [], assigned: [{ ...asWritten, recipe: { ...RECIPE, imageTag: 'b' } }] },
      { assigned: [ASSIGNED] },
      true,
    ],
    ['that has one build too many', { namespaces: [], assigned: [asWritten] }, {}, true],
    ['that is to let a pod go', { namespaces: [] }, { letGo: ['x'] }, true],
    ['that has let pods go', { namespaces: [], letGo: ['b', 'a'] }, { letGo: ['a', 'b'] }, false],
    ['that is to forget a pod', { namespaces: [], letGo: ['x'] }, {}, true],
    ['that lacks a namespace', { namespaces: ['a'] }, { namespaces: ['a', 'b'] }, true],
    ['that has a namespace too many', { namespaces: ['a', 'b'] }, { namespaces: ['a'] }, false],
    ['that looks everywhere', { namespaces: ['*'] }, { namespaces: ['a'] }, false],
    ['that is to look everywhere', { namespaces: ['a'] }, { namespaces: ['a', '*'] }, true],
  ] as const)('%s is written or not', (_, spec, wanted, isWritten) => {
    expect(plan(spec, wanted) !== undefined).toBe(isWritten)
  })

  it('is written whole and within its limits', () => {
    const many = Array.from({ length: 1_001 }, (_, index) => `n${index}`)
    expect(plan({}, { namespaces: ['b', 'a'], letGo: ['x'], assigned: [ASSIGNED] })).toEqual({
      assigned: [ASSIGNED],
      letGo: ['x'],
      namespaces: ['a', 'b'],
    })
    const full = plan({}, { namespaces: many, letGo: many, assigned: many.map(key => ({ ...ASSIGNED, key })) })
    expect([full?.namespaces, full?.letGo?.length, full?.assigned?.length]).toEqual([['*'], 1_000, 1_000])
  })

  it('is written with as many builds as the API server can store', () => {
    const recipe = { ...RECIPE, flakeUrl: `github:team/app?x=${'x'.repeat(5_000)}` }
    const many = Array.from({ length: 1_000 }, (_, index) => ({ key: `team/app-${index}`, recipe }))
    const assigned = plan({}, { assigned: many })?.assigned ?? []
    expect(assigned).toEqual(many.slice(0, assigned.length))
    expect(JSON.stringify(assigned).length).toBeLessThan(410_000)
    expect(assigned.length).toBeGreaterThan(70)
  })
})
