import { describe, expect, it } from 'vitest'
import { describeDriftedImages, podRequests } from '../../../controller/plan/pod-requests.ts'
import { type RecipeView, recipeView } from '../../../controller/views/nixbuild.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { ANNOTATIONS, somePod } from '../views.ts'

const P = 'enbi.hrzn.ee/nixbuild-'
const SYSTEM = 'x86_64-linux'
const DB = { [`${P}flakeUrl.db`]: 'github:team/db', [`${P}imageTag.db`]: 'db:1', [`${P}packageName.db`]: 'db' }
const app = { name: 'app', image: 'app:1' }

function requestsOf(parts: Parameters<typeof somePod>[0], system: string | undefined = SYSTEM) {
  const { requests, problems } = podRequests(somePod(parts), system)
  return {
    requests: requests.map(({ recipe, started }) => `${recipe.image}${started ? ' started' : ''}`),
    problems: problems.map(({ reason }) => reason),
  }
}

const APP = { requests: ['docker.io/library/app:1'], problems: [] }
const NOTHING = { requests: [], problems: [] }

describe('a pod requests', () => {
  it.each([
    ['the image that its annotations and a container name', {}, APP],
    ['the image of an init container', { spec: { containers: [], initContainers: [app] } }, APP],
    ['the image of an ephemeral container', { spec: { containers: [], ephemeralContainers: [app] } }, APP],
    [
      'the image of an image volume',
      { spec: { containers: [], volumes: [{ image: { reference: 'app:1' } }, {}] } },
      APP,
    ],
    [
      'one image only once if it is written in two ways',
      { spec: { containers: [app, { name: 'b', image: 'docker.io/library/app:1' }] } },
      APP,
    ],
    [
      'two images of two suffixes',
      {
        metadata: { annotations: { ...ANNOTATIONS, ...DB } },
        spec: { containers: [app, { name: 'db', image: 'db:1' }] },
      },
      { requests: ['docker.io/library/app:1', 'docker.io/library/db:1'], problems: [] },
    ],
    [
      'an image that a container was created from, as started',
      { status: { containerStatuses: [{ name: 'app', imageID: 'sha256:1' }] } },
      { requests: ['docker.io/library/app:1 started'], problems: [] },
    ],
    [
      'the image of a running container, as started',
      { status: { containerStatuses: [{ name: 'app', imageID: '', state: { running: { startedAt: 'x' } } }] } },
      { requests: ['docker.io/library/app:1 started'], problems: [] },
    ],
    [
      'an image that is being pulled',
      { status: { phase: 'Pending', containerStatuses: [{ name: 'app', imageID: '', state: { waiting: {} } }] } },
      APP,
    ],
    ['nothing without a node', { spec: { nodeName: undefined } }, NOTHING],
    ['nothing when it has succeeded', { status: { phase: 'Succeeded' } }, NOTHING],
    ['nothing when it has failed', { status: { phase: 'Failed' } }, NOTHING],
    ['nothing while it is being deleted', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }, NOTHING],
    [
      'nothing if its annotations name none of its images',
      { spec: { containers: [{ name: 'b', image: 'b:1' }] } },
      NOTHING,
    ],
    ['nothing without annotations', { metadata: { annotations: {} } }, NOTHING],
  ])('%s', (_name, parts, expected) => {
    expect(requestsOf(parts)).toEqual(expected)
  })

  it('nothing on a node of an unknown system', () => {
    expect(podRequests(somePod(), undefined)).toEqual(NOTHING)
  })
})

describe('a pod without annotations for an image requests', () => {
  const recipe = (system: string, packageName = 'app') =>
    recipeView(recipeOf({ spec: { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName, system } }))
  const wantsNamed = (parts: Parameters<typeof somePod>[0], ...recipes: readonly RecipeView[]) =>
    podRequests(somePod(parts), SYSTEM, image => (image === 'docker.io/library/app:1' ? recipes : [])).requests
  const bare = { metadata: { annotations: {} } }

  it('the recipe of a NixBuild of its namespace', () => {
    expect(wantsNamed(bare, recipe(SYSTEM))).toMatchObject([{ recipe: { text: 'github:team/app#app' }, named: true }])
  })

  it('that recipe besides those of its annotations', () => {
    const parts = { metadata: { annotations: DB }, spec: { containers: [app, { name: 'db', image: 'db:1' }] } }
    expect(wantsNamed(parts, recipe(SYSTEM)).map(({ named, recipe: { image } }) => [image, named])).toEqual([
      ['docker.io/library/app:1', true],
      ['docker.io/library/db:1', false],
    ])
  })

  it('nothing for an image that has annotations', () => {
    expect(wantsNamed({}, recipe(SYSTEM, 'other'))).toMatchObject([{ recipe: { packageName: 'app' }, named: false }])
  })

  it('nothing for another system', () => {
    expect(wantsNamed(bare, recipe('aarch64-linux'))).toEqual([])
  })

  it.each([
    ['does not pull it if all its containers have the policy Never', ['Never', 'Never'], false],
    ['pulls it if one container has another policy', ['Never', 'IfNotPresent'], true],
  ])('an image whose kubelet %s', (_, policies, pulled) => {
    const containers = policies.map((imagePullPolicy, n) => ({ ...app, name: `c${n}`, imagePullPolicy }))
    expect(wantsNamed({ ...bare, spec: { containers } }, recipe(SYSTEM))).toMatchObject([{ pulled }])
  })
})

describe('a pod has a problem', () => {
  it.each([
    ['half a recipe', { [`${P}imageTag`]: 'app:1' }, 'NixBuildInvalid', `${P}flakeUrl`],
    ['an invalid flake URL', { ...ANNOTATIONS, [`${P}flakeUrl`]: '--x' }, 'NixBuildInvalid', `${P}flakeUrl`],
    ['an invalid image tag', { ...ANNOTATIONS, [`${P}imageTag`]: 'A B' }, 'NixBuildInvalid', `${P}imageTag`],
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
  ])('with %s, and the message names the place', (_name, annotations, reason, text) => {
    const { requests, problems } = podRequests(somePod({ metadata: { annotations } }), SYSTEM)
    expect(requests).toEqual([])
    expect(problems).toEqual([{ reason, message: expect.stringContaining(text) }])
  })
})

describe('for a pod with very many images', () => {
  it('only the first problems are reported', () => {
    const numbers = Array.from({ length: 50 }, (_, n) => n)
    const containers = numbers.map(n => ({ name: `c${n}`, image: `app:${n}` }))
    const annotations = Object.fromEntries(numbers.map(n => [`${P}imageTag.${n}`, `app:${n}`]))
    const { problems } = podRequests(somePod({ metadata: { annotations }, spec: { containers } }), SYSTEM)
    expect(problems).toHaveLength(10)
  })

  it('reading takes linear time', () => {
    const recipes = Array.from({ length: 1_200 }, (_, n) => [`${P}imageTag.${n}`, `b${n}`])
    const containers = Array.from({ length: 5_000 }, (_, n) => ({ name: `c${n}`, image: `a${n}` }))
    const pod = somePod({ metadata: { annotations: Object.fromEntries(recipes) }, spec: { containers } })
    const begin = performance.now()
    expect(podRequests(pod, SYSTEM)).toEqual({
      requests: [],
      problems: [{ reason: 'NixBuildInvalid', message: expect.stringContaining('1200 images, and 64') }],
    })
    expect(performance.now() - begin).toBeLessThan(2_000)
  })

  it('the number of recipes from NixBuilds is limited', () => {
    const containers = Array.from({ length: 100 }, (_, n) => ({ name: `c${n}`, image: `app:${n}` }))
    const recipes = (image: string) =>
      Array.from({ length: 8 }, (_, n) => ({ key: `${image} ${n}`, image, system: SYSTEM, text: 'x' }))
    const pod = somePod({ metadata: { annotations: {} }, spec: { containers } })
    expect(podRequests(pod, SYSTEM, recipes).requests).toHaveLength(64)
  })

  it('each of the most images allowed is read once', () => {
    const names = Array.from({ length: 64 }, (_, n) => `app-${n}`)
    const annotations = names.flatMap(name =>
      Object.entries(ANNOTATIONS).map(([key, value]) => [`${key}.${name}`, value === 'app:1' ? name : value]),
    )
    const containers = names.map(name => ({ name, image: name }))
    const pod = somePod({ metadata: { annotations: Object.fromEntries(annotations) }, spec: { containers } })
    const { requests, problems } = podRequests(pod, SYSTEM)
    expect([requests.length, problems]).toEqual([64, []])
  })
})

const podOf = (image: string, status?: object) =>
  somePod({ spec: { containers: [{ name: 'app', image }] }, ...(status && { status }) })

describe('a pod whose annotation names app:1', () => {
  it.each(['mirror.example/team/app:1', 'app:2'])('may have meant its image %s', image => {
    expect(describeDriftedImages(podOf(image))).toEqual([expect.stringContaining(`the nearest is "${image}"`)])
  })

  it.each(['app:1', 'proxy:1', 'Not An Image'])('did not mean its image %s, or needs no hint', image => {
    expect(describeDriftedImages(podOf(image))).toEqual([])
  })

  it('needs no hint about an image that its container runs', () => {
    const containerStatuses = [{ name: 'app', image: 'docker.io/library/app:2', imageID: 'sha256:1' }]
    expect(describeDriftedImages(podOf('app:2', { containerStatuses }))).toEqual([])
  })
})
