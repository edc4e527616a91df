import { describe, expect, it } from 'vitest'
import { type PodFacts, planPod } from '../../../controller/plan/plan-pod.ts'
import { podRequests } from '../../../controller/plan/pod-requests.ts'
import { type NixBuildView, type RecipeView, recipeView } from '../../../controller/views/nixbuild.ts'
import type { PodView } from '../../../controller/views/pod.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { CREATED_FOR_PODS, someBuild, someEntry, somePod } from '../views.ts'

const NOW = 1_000_000
const OWNER = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'rs-1', controller: true }
const OTHER = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'old', uid: 'rs-0' }
const condition = (status: string, reason: string, message: string) => ({
  conditions: [{ type: 'enbi.hrzn.ee/ImageBuilt', status, reason, message }],
})

const SETTLE_MS = { first: 5000, Pending: 2000, Building: 300, Importing: 300 }
const QUIET = {
  writesConditions: true,
  told: new Set<string>(),
  writtenAt: undefined,
  progressMs: 10_000,
  differsSince: undefined,
  now: NOW,
  settleMs: SETTLE_MS,
}

const [REQUEST] = podRequests(somePod(), 'x86_64-linux').requests
if (REQUEST === undefined) throw new Error('the pod requests nothing')

interface Named {
  /** Recipes from NixBuilds for images of a pod without annotations. */
  readonly named?: readonly RecipeView[]
}

function plan(pod: PodView, build?: NixBuildView, { named = [], ...more }: Partial<PodFacts> & Named = {}) {
  const { requests, problems } = podRequests(pod, 'x86_64-linux', () => named)
  const entry = build === built ? someEntry('node-1', { state: 'Present' }) : undefined
  return planPod({
    pod,
    nodeKnown: true,
    requested: requests.map(request => ({ request, build, entry })),
    problems,
    nodeProblem: undefined,
    ...QUIET,
    ...more,
  })
}

const building = someBuild({ metadata: CREATED_FOR_PODS, status: { status: 'Building', buildNode: 'node-1' } })
const built = someBuild({ metadata: CREATED_FOR_PODS, status: { status: 'Succeeded', buildNode: 'node-1' } })
const failed = someBuild({ metadata: CREATED_FOR_PODS, status: { status: 'Failed' } })

describe('a NixBuild is created', () => {
  it('for a pod with a node', () => {
    expect(plan(somePod()).create).toEqual([{ recipe: expect.objectContaining({ packageName: 'app' }), owners: [] }])
  })

  it("with the pod's owner, but not as controller", () => {
    expect(plan(somePod({ metadata: { ownerReferences: [OTHER, OWNER] } })).create).toMatchObject([
      { owners: [{ uid: 'rs-1', controller: false }] },
    ])
  })

  it.each([
    ['that is not scheduled yet', somePod({ spec: { nodeName: undefined } })],
    ['that has finished', somePod({ status: { phase: 'Succeeded' } })],
    ['that has failed', somePod({ status: { phase: 'Failed' } })],
    ['that is being deleted', somePod({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } })],
    ['that has the image', somePod({ status: { containerStatuses: [{ name: 'app', imageID: 'sha256:1' }] } })],
    ['with half a recipe', somePod({ metadata: { annotations: { 'enbi.hrzn.ee/nixbuild-imageTag': 'app:1' } } })],
  ])('but not for a pod %s', (_name, pod) => {
    expect(plan(pod).create).toEqual([])
  })

  it('but not for a pod whose node is unknown, and its condition stays', () => {
    const plan = planPod({
      pod: somePod({ status: condition('True', 'Built', 'x') }),
      nodeKnown: false,
      requested: [],
      problems: [],
      nodeProblem: undefined,
      ...QUIET,
    })
    expect(plan).toMatchObject({ create: [], condition: 'keep' })
  })

  it('but not if there is one', () => {
    expect(plan(somePod(), building).create).toEqual([])
  })
})

describe('an existing NixBuild gets an owner', () => {
  const pod = somePod({ metadata: { ownerReferences: [OWNER] } })
  const ownedBy = (...ownerReferences: object[]) => someBuild({ metadata: { ...CREATED_FOR_PODS, ownerReferences } })
  it.each([
    ['if it has none', ownedBy(), ['rs-1']],
    ['besides another', ownedBy(OTHER), ['rs-0', 'rs-1']],
    ['but not twice', ownedBy(OWNER), undefined],
    [
      'but not more than 20',
      ownedBy(...Array.from({ length: 20 }, (_, n) => ({ ...OTHER, uid: `rs-${n + 100}` }))),
      undefined,
    ],
    ['but not if it was made by hand', someBuild(), undefined],
    [
      'but not while it is being deleted',
      someBuild({ metadata: { ...CREATED_FOR_PODS, deletionTimestamp: '2026-01-01T00:00:00Z' } }),
      undefined,
    ],
  ])('%s', (_name, build, uids) => {
    expect(plan(pod, build).adopt[0]?.owners.map(({ uid }) => uid)).toEqual(uids)
  })

  it('but not from a bare pod', () => {
    expect(plan(somePod(), ownedBy(OTHER)).adopt).toEqual([])
  })
})

describe('the condition', () => {
  const earlier = somePod({ status: condition('False', 'Importing', 'earlier') })
  it.each([
    ['Pending', 'first', somePod(), undefined],
    ['Building', 'first', somePod(), building],
    ['Pending', 'Pending', earlier, undefined],
    ['Building', 'Building', earlier, building],
  ] as const)('%s is written once it has lasted (%s)', (reason, settle, pod, build) => {
    const ms = SETTLE_MS[settle]
    expect(plan(pod, build)).toMatchObject({ condition: 'keep', differsSince: NOW, recheckAt: NOW + ms })
    const early = plan(pod, build, { differsSince: NOW - ms + 1 })
    expect(early).toMatchObject({ condition: 'keep', recheckAt: NOW + 1 })
    expect(plan(pod, build, { differsSince: NOW - ms })).toMatchObject({
      condition: { set: { reason } },
      differsSince: undefined,
      recheckAt: undefined,
      events: [],
    })
  })

  it.each([
    ['Built', built],
    ['Failed', failed],
  ])('%s is written immediately', (reason, build) => {
    expect(plan(somePod(), build)).toMatchObject({ condition: { set: { reason } }, recheckAt: undefined })
  })

  it('is Built on a node with too many images once the pod has been there for a minute', () => {
    const elsewhere = someBuild({ metadata: CREATED_FOR_PODS, status: { status: 'Succeeded', buildNode: 'node-2' } })
    const pod = somePod()
    const at = (ms: number) => ({ isNodeFull: true, now: pod.createdAt + ms, differsSince: pod.createdAt })
    const text = { reason: 'Pending', message: expect.stringContaining('but node-1 does not have it') }
    expect(plan(pod, elsewhere, at(59_999))).toMatchObject({
      condition: { set: text },
      recheckAt: pod.createdAt + 60_000,
    })
    expect(plan(pod, elsewhere, at(60_000))).toMatchObject({ condition: { set: { reason: 'Built' } } })
  })

  it('is not written again if it is up to date', () => {
    const { condition: written } = plan(somePod(), built)
    if (typeof written === 'string') throw new Error('not written')
    const { reason, message } = written.set
    const pod = somePod({ status: condition('True', reason, message) })
    expect(plan(pod, built)).toMatchObject({ condition: 'keep', recheckAt: undefined, differsSince: undefined })
  })

  it('is written again for progress only so often, and immediately for another state', () => {
    const at = (progress: string, entry: 'Building' | 'Importing' = 'Building') => ({
      requested: [{ request: REQUEST, build: building, entry: someEntry('node-1', { state: entry, progress }) }],
    })
    const first = plan(somePod(), building, { ...at('1 of 7'), differsSince: NOW - 5000 })
    if (typeof first.condition === 'string') throw new Error('not written')
    const { reason, message } = first.condition.set
    expect(message).toMatch(/being built on node-1 from github:team\/app#app \(1 of 7\)$/)
    const pod = somePod({ status: condition('False', reason, message) })
    const written = { writtenAt: NOW - 4_000, differsSince: NOW - 300 }
    expect(plan(pod, building, { ...at('2 of 7'), ...written })).toMatchObject({
      condition: 'keep',
      recheckAt: NOW + 6_000,
    })
    expect(plan(pod, building, { ...at('2 of 7'), writtenAt: NOW - 10_000 })).toMatchObject({
      condition: { set: { message: expect.stringContaining('(2 of 7)') } },
    })
    expect(plan(pod, building, { ...at('x', 'Importing'), ...written })).toMatchObject({
      condition: { set: { reason: 'Importing' } },
    })
  })

  it('is not written if conditions are switched off, and problems are reported once', () => {
    const off = { writesConditions: false }
    expect(plan(somePod(), built, off).condition).toBe('keep')
    const pod = somePod({ metadata: { annotations: { 'enbi.hrzn.ee/nixbuild-imageTag': 'app:1' } } })
    const { events, condition } = plan(pod, undefined, off)
    expect([events.length, condition]).toEqual([1, 'keep'])
    expect(plan(pod, undefined, { ...off, told: new Set(events.map(({ message }) => message)) }).events).toEqual([])
  })

  it.each([
    ['without annotations', { annotations: {} }],
    ['with annotations for other images', { annotations: { 'enbi.hrzn.ee/nixbuild-imageTag': 'other:1' } }],
  ])('is removed from a pod %s', (_name, metadata) => {
    expect(plan(somePod({ metadata, status: condition('False', 'Pending', 'x') })).condition).toBe('remove')
    expect(plan(somePod({ metadata })).condition).toBe('keep')
  })

  it('has a message of bounded length that keeps its beginning and end', () => {
    const message = `begin ${'x'.repeat(20_000)} end`
    const build = someBuild({
      status: { status: 'Failed', conditions: [{ type: 'Success', status: 'False', message }] },
    })
    const { condition } = plan(somePod(), build)
    if (typeof condition === 'string') throw new Error('not written')
    expect(condition.set.message).toMatch(/^docker.io\/library\/app:1: begin x+ … x+ end$/)
    expect(condition.set.message.length).toBeLessThan(1100)
  })
})

describe('an event', () => {
  const annotations = { 'enbi.hrzn.ee/nixbuild-imageTag': 'app:1' }
  it('reports bad annotations together with the condition', () => {
    const { events, condition } = plan(somePod({ metadata: { annotations } }))
    expect(events).toEqual([{ reason: 'NixBuildInvalid', message: expect.stringContaining('flakeUrl') }])
    expect(condition).toMatchObject({ set: { reason: 'Failed' } })
  })

  it('reports them once', () => {
    const { condition: written } = plan(somePod({ metadata: { annotations } }))
    if (typeof written === 'string') throw new Error('not written')
    const status = condition('False', 'Failed', written.set.message)
    expect(plan(somePod({ metadata: { annotations }, status }))).toMatchObject({ events: [], condition: 'keep' })
  })

  it('reports them again if another one comes', () => {
    const status = condition('False', 'Failed', 'another text')
    expect(plan(somePod({ metadata: { annotations }, status })).events).toHaveLength(1)
  })

  it('does not report a failed build, as the shim does', () => {
    expect(plan(somePod(), failed).events).toEqual([])
  })
})

describe('a pod without annotations whose image has a NixBuild', () => {
  const named = [
    recipeView(
      recipeOf({
        spec: { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' },
      }),
    ),
  ]
  const bare = (status: object = {}) => somePod({ metadata: { annotations: {}, ownerReferences: [OWNER] }, status })

  it('gets the condition, and its owner becomes an owner of the build', () => {
    expect(plan(bare(), built, { named })).toMatchObject({
      condition: { set: { reason: 'Built' } },
      adopt: [{ owners: [{ uid: 'rs-1' }] }],
    })
    expect(plan(bare(), failed, { named })).toMatchObject({ condition: { set: { reason: 'Failed' } } })
  })

  it('gets no new NixBuild when it is removed, as only nodes know the recipe', () => {
    expect(plan(bare(), undefined, { named }).create).toEqual([])
  })

  it('keeps only the condition Built when the NixBuild is removed', () => {
    expect(plan(bare(condition('True', 'Built', 'x'))).condition).toBe('keep')
    expect(plan(bare(condition('False', 'Building', 'x'))).condition).toBe('remove')
  })
})
