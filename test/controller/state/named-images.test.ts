import { describe, expect, it } from 'vitest'
import { type BuildView, type RecipeView, recipeView } from '../../../controller/kinds/build.ts'
import { nixBuildName } from '../../../kube/names.ts'
import { recipeOf } from '../../../kube/nixbuild-recipe.ts'
import { someBuild, somePod } from '../views.ts'
import { APP, KNOWN, startBuilds, startPods } from './start.ts'

const IMAGE = 'team/docker.io/library/app:1'

describe('the recipes of an image', () => {
  const BY_SHIM = { labels: { 'app.kubernetes.io/managed-by': 'enbi-shim' } }

  /** As the shim of a node makes it for an image whose name is the recipe. */
  function ofShim(packageName: string): BuildView {
    const spec = { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName, system: 'x86_64-linux' }
    const name = nixBuildName(recipeOf({ spec }))
    return someBuild({ metadata: { ...BY_SHIM, name, uid: name }, spec })
  }

  it('are told when they change, however the NixBuild became known', () => {
    const { builds, set, images } = startBuilds()
    builds.wrote(someBuild())
    set('team/app-1', someBuild())
    expect(images).toEqual([IMAGE])
    expect(builds.recipesOf(IMAGE)).toMatchObject([{ text: 'github:team/app#app' }])
    set('team/app-1', someBuild({ status: { status: 'Succeeded' } }))
    set('team/app-1', undefined)
    expect([images, builds.recipesOf(IMAGE)]).toEqual([[IMAGE, IMAGE], []])
  })

  it('are each of them once', () => {
    const { builds, set } = startBuilds()
    set('team/by-hand', someBuild({ metadata: { name: 'by-hand' } }))
    set('team/app-1', ofShim('app'))
    set('team/app-2', ofShim('other'))
    expect(builds.recipesOf(IMAGE)).toMatchObject([{ text: 'github:team/app#app' }, { text: 'github:team/app#other' }])
  })

  it('are kept as a short text, however many packages a set has', () => {
    const { builds, set } = startBuilds()
    const contents = Array.from({ length: 100 }, (_, n) => `package-of-a-long-name-${n}`)
    set('team/set', someBuild({ metadata: { name: 'set' }, spec: { packageName: undefined, contents } }))
    const [recipe] = builds.recipesOf(IMAGE)
    expect(recipe?.text).toMatch(/^github:team\/app#\{package-.*…$/)
    expect(JSON.stringify(builds.get('team/set')).length).toBeLessThan(1_500)
  })

  it('leave out those under a name that shims do not give', () => {
    const { builds, set } = startBuilds()
    set('team/app-1', someBuild({ metadata: { ...BY_SHIM, name: 'app-1' } }))
    expect(builds.recipesOf(IMAGE)).toEqual([])
  })

  it('are bounded, and any number that a shim makes hide none of people', () => {
    const { builds, set } = startBuilds()
    for (let n = 0; n < 50; n += 1) set(`team/flood-${n}`, ofShim(`flood-${n}`))
    set('team/by-hand', someBuild())
    expect(builds.recipesOf(IMAGE)).toHaveLength(9)
    expect(builds.recipesOf(IMAGE)).toContainEqual(expect.objectContaining({ text: 'github:team/app#app' }))
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

  it('want what a NixBuild of their image gives, from the moment that there is one until it is gone', () => {
    const recipes = new Map<string, RecipeView[]>()
    const { pods, set, due } = startPods(KNOWN, recipes)
    expect(set('team/a', named())).toEqual([])
    recipes.set(IMAGE, [recipe])
    pods.imageChanged(IMAGE)
    expect(due).toEqual(['want team', 'pod team/a'])
    expect([...pods.podsWanting(APP).values()]).toMatchObject([{ named: true, started: false, pulled: true }])
    expect(set('team/a', named({ status: started }))).toEqual(['want team', 'pod team/a'])
    recipes.clear()
    due.length = 0
    pods.imageChanged(IMAGE)
    expect(due).toEqual(['want team', 'pod team/a'])
    expect(pods.podsWanting(APP).size).toBe(0)
  })

  it('that want nothing are no work, neither when they change nor when they go', () => {
    const { set } = startPods(KNOWN)
    expect(set('team/a', named())).toEqual([])
    expect(set('team/a', named({ status: started }))).toEqual([])
    expect(set('team/a', undefined)).toEqual([])
  })

  it('in another namespace want nothing of it', () => {
    const { pods, set } = startPods(KNOWN, new Map([[IMAGE, [recipe]]]))
    set('other/a', named({ metadata: { namespace: 'other' } }))
    expect(pods.podsWanting(APP).size).toBe(0)
  })

  it.each([
    ['that waits for an image', named(), true],
    [
      'that began a moment ago',
      named({ metadata: { creationTimestamp: new Date().toISOString() }, status: started }),
      true,
    ],
    [
      'that gets a container for debugging',
      named({ spec: { ephemeralContainers: [{ name: 'd', image: 'debug' }] }, status: started }),
      true,
    ],
    [
      'that was told of a build',
      named({ status: { ...started, conditions: [{ type: 'enbi.hrzn.ee/ImageBuilt', status: 'True' }] } }),
      true,
    ],
    ['that started long ago', named({ status: started }), false],
    ['without a node', named({ spec: { nodeName: undefined } }), false],
    ['that has ended', named({ status: { phase: 'Failed' } }), false],
  ])('one %s is kept: %s', (_, pod, kept) => {
    expect(startPods(KNOWN).pods.isKept('team/a', pod)).toBe(kept)
  })

  it('are kept up to a number, those that are kept already before others', () => {
    const { pods, set } = startPods(KNOWN)
    for (let n = 0; n < 20_000; n += 1) set(`team/${n}`, named())
    expect([pods.isKept('team/0', named()), pods.isKept('team/new', named())]).toEqual([true, false])
    expect(pods.isKept('team/annotated', somePod())).toBe(true)
    set('team/0', undefined)
    expect(pods.isKept('team/new', named())).toBe(true)
  })
})
