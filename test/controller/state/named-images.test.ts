import { describe, expect, it, vi } from 'vitest'
import { createNewestIndex } from '../../../controller/state/indices.ts'
import { type NixBuildView, type RecipeView, recipeView } from '../../../controller/views/nixbuild.ts'
import { nixBuildName } from '../../../kube/resources/names.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { someBuild, somePod } from '../views.ts'
import { APP, KNOWN, startBuilds, startPods } from './start.ts'

const IMAGE = 'team/docker.io/library/app:1'

describe('the recipes of an image', () => {
  const BY_SHIM = { labels: { 'app.kubernetes.io/managed-by': 'enbi-shim' } }

  /** A NixBuild as a shim creates it for an image whose name is its recipe. */
  function ofShim(packageName: string, creationTimestamp = '2026-01-01T00:00:00Z'): NixBuildView {
    const spec = { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName, system: 'x86_64-linux' }
    const name = nixBuildName(recipeOf({ spec }))
    return someBuild({ metadata: { ...BY_SHIM, name, uid: name, creationTimestamp }, spec })
  }

  it('are reported when they change, regardless of how the NixBuild became known', () => {
    const { builds, set, images } = startBuilds()
    builds.recordWrite(someBuild())
    set('team/app-1', someBuild())
    expect(images).toEqual([IMAGE])
    expect(builds.recipesOf(IMAGE)).toMatchObject([{ text: 'github:team/app#app' }])
    set('team/app-1', someBuild({ status: { status: 'Succeeded' } }))
    set('team/app-1', undefined)
    expect([images, builds.recipesOf(IMAGE)]).toEqual([[IMAGE, IMAGE], []])
  })

  it('are distinct', () => {
    const { builds, set } = startBuilds()
    set('team/by-hand', someBuild({ metadata: { name: 'by-hand' } }))
    set('team/app-1', ofShim('app'))
    set('team/app-2', ofShim('other'))
    expect(builds.recipesOf(IMAGE)).toMatchObject([{ text: 'github:team/app#app' }, { text: 'github:team/app#other' }])
  })

  it('are the newest, and only changes of these are reported', () => {
    const { builds, set, images } = startBuilds()
    const at = (day: number) => `2026-01-${String(day).padStart(2, '0')}T00:00:00Z`
    for (const day of [11, 10, 12, 13, 14, 15, 16, 17, 18, 19]) set(`team/${day}`, ofShim(`app-${day}`, at(day)))
    const packages = () => builds.recipesOf(IMAGE).map(({ text }) => text.slice(text.indexOf('-') + 1))
    expect(packages().toSorted()).toEqual(['12', '13', '14', '15', '16', '17', '18', '19'])
    images.length = 0
    set('team/old', ofShim('old', at(1)))
    set('team/old', undefined)
    set('team/copy', someBuild({ metadata: { name: 'copy' }, spec: { packageName: 'app-19' } }))
    expect(images).toEqual([])
    set('team/19', undefined)
    expect([packages().toSorted(), images]).toEqual([['11', '12', '13', '14', '15', '16', '17', '18', '19'], [IMAGE]])
  })

  it('are kept as a short text even for a large package set', () => {
    const { builds, set } = startBuilds()
    const contents = Array.from({ length: 100 }, (_, n) => `package-of-a-long-name-${n}`)
    set('team/set', someBuild({ metadata: { name: 'set' }, spec: { packageName: undefined, contents } }))
    const [recipe] = builds.recipesOf(IMAGE)
    expect(recipe?.text).toMatch(/^github:team\/app#\{package-.*,…\}$/)
    expect(JSON.stringify(builds.get('team/set')).length).toBeLessThan(1_500)
  })

  it('are bounded, and those of shims never hide those made by hand', () => {
    const { builds, set } = startBuilds()
    for (let n = 0; n < 50; n += 1) set(`team/flood-${n}`, ofShim(`flood-${n}`))
    set('team/by-hand', someBuild())
    expect(builds.recipesOf(IMAGE)).toHaveLength(9)
    expect(builds.recipesOf(IMAGE)).toContainEqual(expect.objectContaining({ text: 'github:team/app#app' }))
  })
})

describe('the newest keys of a group', () => {
  it('stay correct when one of them is removed or gets another time', () => {
    const index = createNewestIndex(2)
    for (const [key, time] of [
      ['a', 1],
      ['b', 4],
      ['c', 2],
      ['d', 3],
    ] as const)
      index.put(key, { group: 'x', time })
    expect(index.newestIn('x')).toEqual(['b', 'd'])
    index.put('b', undefined)
    expect(index.newestIn('x')).toEqual(['d', 'c'])
    index.put('d', { group: 'y', time: 3 })
    expect(['x', 'y'].map(index.newestIn)).toEqual([['c', 'a'], ['d']])
    index.put('a', { group: 'x', time: 9 })
    expect([index.newestIn('x'), index.groupOf('b'), index.groupOf('d')]).toEqual([['a', 'c'], undefined, 'y'])
  })
})

describe('pods without annotations', () => {
  const OLD = '2020-01-01T00:00:00Z'
  const named = (parts: Parameters<typeof somePod>[0] = {}) =>
    somePod({ ...parts, metadata: { annotations: {}, creationTimestamp: OLD, ...parts.metadata } })
  const started = { containerStatuses: [{ name: 'app', imageID: 'sha256:1' }] }
  const recipe = recipeView(
    recipeOf({
      spec: { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' },
    }),
  )

  it('request the recipe of a NixBuild of their image for as long as it exists', () => {
    const recipes = new Map<string, RecipeView[]>()
    const { pods, set, due } = startPods(KNOWN, recipes)
    expect(set('team/a', named())).toEqual([])
    recipes.set(IMAGE, [recipe])
    pods.imageChanged(IMAGE)
    expect(pods.requestsOf('team/a').requests).toMatchObject([{ named: true }])
    expect(due).toEqual(['pod team/a', 'request team'])
    expect([...pods.podsRequesting(APP).values()]).toMatchObject([{ named: true, started: false, pulled: true }])
    expect(set('team/a', named({ status: started }))).toEqual(['request team', 'pod team/a'])
    recipes.clear()
    due.length = 0
    pods.imageChanged(IMAGE)
    expect(pods.requestsOf('team/a').requests).toEqual([])
    expect(due).toEqual(['pod team/a', 'request team'])
    expect(pods.podsRequesting(APP).size).toBe(0)
  })

  it('are read once, when reconciled, and not when a NixBuild changes', () => {
    const recipes = new Map([[IMAGE, [recipe]]])
    const { pods, set } = startPods(KNOWN, recipes)
    set('team/a', named())
    const reads = vi.spyOn(recipes, 'get')
    pods.imageChanged(IMAGE)
    pods.imageChanged(IMAGE)
    expect(reads).not.toHaveBeenCalled()
    pods.requestsOf('team/a')
    pods.requestsOf('team/a')
    expect(reads).toHaveBeenCalledOnce()
  })

  it('that request nothing cause no work, neither when they change nor when they are removed', () => {
    const { set } = startPods(KNOWN)
    expect(set('team/a', named())).toEqual([])
    expect(set('team/a', named({ status: started }))).toEqual([])
    expect(set('team/a', undefined)).toEqual([])
  })

  it('of another namespace do not request it', () => {
    const { pods, set } = startPods(KNOWN, new Map([[IMAGE, [recipe]]]))
    set('other/a', named({ metadata: { namespace: 'other' } }))
    expect(pods.podsRequesting(APP).size).toBe(0)
  })

  it.each([
    ['that waits for an image', named(), true],
    [
      'that was created a moment ago',
      named({ metadata: { creationTimestamp: new Date().toISOString() }, status: started }),
      true,
    ],
    [
      'that gets a container for debugging',
      named({ spec: { ephemeralContainers: [{ name: 'd', image: 'debug' }] }, status: started }),
      true,
    ],
    [
      'that has the condition',
      named({ status: { ...started, conditions: [{ type: 'enbi.hrzn.ee/ImageBuilt', status: 'True' }] } }),
      true,
    ],
    ['that started long ago', named({ status: started }), false],
    ['without a node', named({ spec: { nodeName: undefined } }), false],
    ['that has ended', named({ status: { phase: 'Failed' } }), false],
  ])('with one %s: kept whole is %s', (_, pod, whole) => {
    expect(startPods(KNOWN).pods.kept('team/a', pod) === pod).toBe(whole)
  })

  it('are kept whole up to a limit in total and per namespace', () => {
    const { pods, set } = startPods(KNOWN)
    const pod = named()
    const fill = (namespace: string) => {
      for (let n = 0; n < 5_000; n += 1) set(`${namespace}/${n}`, pod)
    }
    fill('team')
    expect(['team/0', 'team/new', 'other/new'].map(key => pods.kept(key, pod) === pod)).toEqual([true, false, true])
    expect(pods.kept('team/annotated', somePod())).toHaveProperty('createdAt')
    set('team/0', undefined)
    expect(pods.kept('team/new', pod)).toBe(pod)
    for (const namespace of ['team', 'a', 'b', 'c']) fill(namespace)
    expect(['a/0', 'other/new'].map(key => pods.kept(key, pod) === pod)).toEqual([true, false])
  })
  it('that have started give up their places, but remain users of their images', () => {
    const start = Date.now()
    let now = start
    const { pods, set } = startPods(KNOWN, new Map(), () => now)
    const metadata = { creationTimestamp: new Date(start).toISOString() }
    const young = named({ metadata, status: started })
    for (let n = 0; n < 4_999; n += 1) set(`team/${n}`, young)
    set('team/waiting', named())
    const isKept = () => pods.kept('team/new', named({ spec: { containers: [{ name: 'b', image: 'b:1' }] } }))
    expect(isKept()).not.toHaveProperty('createdAt')
    now = start + 60_000
    expect(isKept()).toHaveProperty('createdAt')
    expect([pods.get('team/0'), pods.get('team/waiting')]).toEqual([undefined, named()])
    set('team/waiting', undefined)
    expect(pods.isImageUsed(IMAGE)).toBe(true)
  })
})
