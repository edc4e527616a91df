import { describe, expect, it } from 'vitest'
import { podWants } from '../../../controller/reconcile/pod-wants.ts'
import { type RecipeView, recipeView } from '../../../controller/views/nixbuild.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { ANNOTATIONS, somePod } from '../views.ts'

const P = 'enbi.hrzn.ee/nixbuild-'
const SYSTEM = 'x86_64-linux'
const DB = { [`${P}flakeUrl.db`]: 'github:team/db', [`${P}imageTag.db`]: 'db:1', [`${P}packageName.db`]: 'db' }
const app = { name: 'app', image: 'app:1' }

function wantsOf(parts: Parameters<typeof somePod>[0], system: string | undefined = SYSTEM) {
  const { wants, problems } = podWants(somePod(parts), system)
  return {
    wants: wants.map(({ recipe, started }) => `${recipe.image}${started ? ' started' : ''}`),
    problems: problems.map(({ reason }) => reason),
  }
}

const APP = { wants: ['docker.io/library/app:1'], problems: [] }
const NOTHING = { wants: [], problems: [] }

describe('a pod wants', () => {
  it.each([
    ['the image that its annotations and a container name', {}, APP],
    ['that of an init container', { spec: { containers: [], initContainers: [app] } }, APP],
    ['that of an ephemeral container', { spec: { containers: [], ephemeralContainers: [app] } }, APP],
    ['that of an image volume', { spec: { containers: [], volumes: [{ image: { reference: 'app:1' } }, {}] } }, APP],
    [
      'one in two spellings once',
      { spec: { containers: [app, { name: 'b', image: 'docker.io/library/app:1' }] } },
      APP,
    ],
    [
      'two under two suffixes',
      {
        metadata: { annotations: { ...ANNOTATIONS, ...DB } },
        spec: { containers: [app, { name: 'db', image: 'db:1' }] },
      },
      { wants: ['docker.io/library/app:1', 'docker.io/library/db:1'], problems: [] },
    ],
    [
      'one that a container was made from, which it has',
      { status: { containerStatuses: [{ name: 'app', imageID: 'sha256:1' }] } },
      { wants: ['docker.io/library/app:1 started'], problems: [] },
    ],
    [
      'one that a container runs',
      { status: { containerStatuses: [{ name: 'app', imageID: '', state: { running: { startedAt: 'x' } } }] } },
      { wants: ['docker.io/library/app:1 started'], problems: [] },
    ],
    [
      'one that is being pulled',
      { status: { phase: 'Pending', containerStatuses: [{ name: 'app', imageID: '', state: { waiting: {} } }] } },
      APP,
    ],
    ['nothing without a node', { spec: { nodeName: undefined } }, NOTHING],
    ['nothing when it is done', { status: { phase: 'Succeeded' } }, NOTHING],
    ['nothing when it failed', { status: { phase: 'Failed' } }, NOTHING],
    ['nothing when it is being deleted', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }, NOTHING],
    [
      'nothing when its annotations name no image of its own',
      { spec: { containers: [{ name: 'b', image: 'b:1' }] } },
      NOTHING,
    ],
    ['nothing without annotations', { metadata: { annotations: {} } }, NOTHING],
  ])('%s', (_name, parts, expected) => {
    expect(wantsOf(parts)).toEqual(expected)
  })

  it('nothing on a node of no known system', () => {
    expect(podWants(somePod(), undefined)).toEqual(NOTHING)
  })
})

describe('a pod without annotations for an image wants', () => {
  const recipe = (system: string, packageName = 'app') =>
    recipeView(recipeOf({ spec: { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName, system } }))
  const wantsNamed = (parts: Parameters<typeof somePod>[0], ...recipes: readonly RecipeView[]) =>
    podWants(somePod(parts), SYSTEM, image => (image === 'docker.io/library/app:1' ? recipes : [])).wants
  const bare = { metadata: { annotations: {} } }

  it('what a NixBuild of its namespace gives that image', () => {
    expect(wantsNamed(bare, recipe(SYSTEM))).toMatchObject([{ recipe: { text: 'github:team/app#app' }, named: true }])
  })

  it('beside what its annotations ask for', () => {
    const parts = { metadata: { annotations: DB }, spec: { containers: [app, { name: 'db', image: 'db:1' }] } }
    expect(wantsNamed(parts, recipe(SYSTEM)).map(({ named, recipe: { image } }) => [image, named])).toEqual([
      ['docker.io/library/app:1', true],
      ['docker.io/library/db:1', false],
    ])
  })

  it('nothing of a NixBuild when an annotation is its recipe', () => {
    expect(wantsNamed({}, recipe(SYSTEM, 'other'))).toMatchObject([{ recipe: { packageName: 'app' }, named: false }])
  })

  it('nothing for another system', () => {
    expect(wantsNamed(bare, recipe('aarch64-linux'))).toEqual([])
  })

  it.each([
    ['pulls it, unless all that name it say Never', ['Never', 'Never'], false],
    ['pulls it, if one says otherwise', ['Never', 'IfNotPresent'], true],
  ])('what its kubelet pulls: it %s', (_, policies, pulled) => {
    const containers = policies.map((imagePullPolicy, n) => ({ ...app, name: `c${n}`, imagePullPolicy }))
    expect(wantsNamed({ ...bare, spec: { containers } }, recipe(SYSTEM))).toMatchObject([{ pulled }])
  })
})

describe('a pod is told', () => {
  it.each([
    ['half a recipe', { [`${P}imageTag`]: 'app:1' }, 'NixBuildInvalid', `${P}flakeUrl`],
    ['a flake URL that is none', { ...ANNOTATIONS, [`${P}flakeUrl`]: '--x' }, 'NixBuildInvalid', `${P}flakeUrl`],
    ['an image tag that is none', { ...ANNOTATIONS, [`${P}imageTag`]: 'A B' }, 'NixBuildInvalid', `${P}imageTag`],
    [
      'two recipes of one image',
      { ...ANNOTATIONS, ...DB, [`${P}imageTag.db`]: 'app:1' },
      'NixBuildInvalid',
      'different recipes',
    ],
    [
      "a system that is not the node's",
      { ...ANNOTATIONS, [`${P}system`]: 'aarch64-linux' },
      'NixBuildUnsupported',
      'node-1',
    ],
  ])('of %s, with the place', (_name, annotations, reason, text) => {
    const { wants, problems } = podWants(somePod({ metadata: { annotations } }), SYSTEM)
    expect(wants).toEqual([])
    expect(problems).toEqual([{ reason, message: expect.stringContaining(text) }])
  })
})

describe('of a pod that asks for very much', () => {
  it('only the first problems are told', () => {
    const numbers = Array.from({ length: 50 }, (_, n) => n)
    const containers = numbers.map(n => ({ name: `c${n}`, image: `app:${n}` }))
    const annotations = Object.fromEntries(numbers.map(n => [`${P}imageTag.${n}`, `app:${n}`]))
    const { problems } = podWants(somePod({ metadata: { annotations }, spec: { containers } }), SYSTEM)
    expect(problems).toHaveLength(10)
  })

  it('the reading takes no longer than the pod is long', () => {
    const recipes = Array.from({ length: 1_200 }, (_, n) => [`${P}imageTag.${n}`, `b${n}`])
    const containers = Array.from({ length: 5_000 }, (_, n) => ({ name: `c${n}`, image: `a${n}` }))
    const pod = somePod({ metadata: { annotations: Object.fromEntries(recipes) }, spec: { containers } })
    const begin = performance.now()
    expect(podWants(pod, SYSTEM)).toEqual({
      wants: [],
      problems: [{ reason: 'NixBuildInvalid', message: expect.stringContaining('1200 images, and 64') }],
    })
    expect(performance.now() - begin).toBeLessThan(2_000)
  })

  it('of what NixBuilds give its images only so many are looked at', () => {
    const containers = Array.from({ length: 100 }, (_, n) => ({ name: `c${n}`, image: `app:${n}` }))
    const recipes = (image: string) =>
      Array.from({ length: 8 }, (_, n) => ({ key: `${image} ${n}`, image, system: SYSTEM, text: 'x' }))
    const pod = somePod({ metadata: { annotations: {} }, spec: { containers } })
    expect(podWants(pod, SYSTEM, recipes).wants).toHaveLength(64)
  })

  it('each of as many images as may be is read once', () => {
    const names = Array.from({ length: 64 }, (_, n) => `app-${n}`)
    const annotations = names.flatMap(name =>
      Object.entries(ANNOTATIONS).map(([key, value]) => [`${key}.${name}`, value === 'app:1' ? name : value]),
    )
    const containers = names.map(name => ({ name, image: name }))
    const pod = somePod({ metadata: { annotations: Object.fromEntries(annotations) }, spec: { containers } })
    const { wants, problems } = podWants(pod, SYSTEM)
    expect([wants.length, problems]).toEqual([64, []])
  })
})
