import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nixBuildNames } from '../../../../kube/resources/names.ts'
import type { NixBuild } from '../../../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../../../kube/resources/nixbuild-recipe.ts'
import { FinalError, RetryableError } from '../../../../lib/errors.ts'
import { recipeKey } from '../../../../recipes/recipe.ts'
import { createClusterLookup } from '../../../../shim/cluster/lookup/cluster-lookup.ts'
import { createKnownImages } from '../../../../shim/cluster/lookup/known-images.ts'
import { nixBuild } from '../nixbuilds.ts'

const { signal } = new AbortController()
const query = { image: 'registry.example/team/app:1', namespace: 'team', signal }

type NamedAnswer = (signal: AbortSignal) => Promise<NixBuild | undefined>
type Answer = (signal: AbortSignal) => Promise<readonly NixBuild[]>

/** A look-up of a cluster that answers so, each call in turn. */
function lookupWith(...answers: readonly Answer[]) {
  const named: NamedAnswer[] = []
  const asked: string[] = []
  const clock = { now: 0 }
  const logger = pino({ level: 'silent' })
  const lookup = createClusterLookup({
    nixBuildsOf({ image, signal: limit }) {
      asked.push(image)
      return (answers[asked.length - 1] ?? (async () => []))(limit)
    },
    system: 'x86_64-linux',
    timeoutMs: 20,
    now: () => clock.now,
    nixBuildNamed: ({ name, signal: limit }) => {
      asked.push(name)
      return (named[asked.length - 1] ?? (async () => undefined))(limit)
    },
    mayBuild: (_namespace, { flake }) => flake.source !== 'github:team/refused',
    mayHave: namespace => namespace !== 'without',
    known: createKnownImages({ file: join(dir, `${randomUUID()}.json`), logger }),
    logger,
  })
  return { ...lookup, asked, clock, named }
}

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cluster-lookup-'))
})
afterAll(() => rm(dir, { recursive: true }))

const never: Answer = () => new Promise(() => {})
const away: Answer = () => Promise.reject(new RetryableError('ClusterAway', 'away'))
const found: Answer = async () => [nixBuild()]

describe('a look-up in the cluster', () => {
  it('requests the normalized image and returns the recipe', async () => {
    const { find, asked } = lookupWith(found)
    expect(await find({ ...query, image: 'app' })).toMatchObject({ nixBuild: 'web' })
    expect(asked).toEqual(['docker.io/library/app:latest'])
  })

  it.each([
    ['never answers', never],
    ['is away', away],
  ])(
    'of an API server that %s finds nothing, and sends the next request only ten seconds later',
    async (_name, answer) => {
      const { find, asked, clock } = lookupWith(answer, found)
      expect(await find(query)).toBeUndefined()
      clock.now += 9999
      expect(await find(query)).toBeUndefined()
      expect(asked).toHaveLength(1)
      clock.now += 1
      expect(await find(query)).toMatchObject({ nixBuild: 'web' })
    },
  )

  it('that takes too long in one namespace does not stop another namespace', async () => {
    const { find } = lookupWith(never, found)
    expect(await find({ ...query, namespace: 'greedy' })).toBeUndefined()
    expect(await find(query)).toMatchObject({ nixBuild: 'web' })
  })

  it('that finds too many NixBuilds fails, and the next one sends a request again', async () => {
    const tooMany: Answer = () => Promise.reject(new FinalError('RecipeConflict', 'too many'))
    const { find } = lookupWith(tooMany, found)
    await expect(find(query)).rejects.toMatchObject({ code: 'RecipeConflict' })
    expect(await find(query)).toMatchObject({ nixBuild: 'web' })
  })

  it('that fails immediately ends all concurrent ones', async () => {
    const { find, asked } = lookupWith(never, away)
    expect(await Promise.all([find(query), find(query)])).toEqual([undefined, undefined])
    expect(asked).toHaveLength(2)
  })

  it('sends no request for text that is not an image reference', async () => {
    const { find, asked } = lookupWith()
    expect(await find({ ...query, image: 'NOT//valid' })).toBeUndefined()
    expect(asked).toEqual([])
  })

  it('sends no request for a namespace that has no NixBuilds made by hand', async () => {
    const { find, asked } = lookupWith(found)
    expect(await find({ ...query, namespace: 'without' })).toBeUndefined()
    expect(asked).toEqual([])
  })

  it('without an answer fails for an image that had a NixBuild, also while no requests are sent', async () => {
    const { find } = lookupWith(found, away)
    await find(query)
    const unknown = { code: 'ClusterAway', retryable: true, message: expect.stringContaining('is not pulled') }
    await expect(find(query)).rejects.toMatchObject(unknown)
    await expect(find(query)).rejects.toMatchObject(unknown)
    await expect(find({ ...query, image: 'registry.example/other:1' })).resolves.toBeUndefined()
  })

  it('without an answer finds nothing for an image that has lost its NixBuild', async () => {
    const { find } = lookupWith(found, async () => [], away)
    await find(query)
    expect(await find(query)).toBeUndefined()
    expect(await find(query)).toBeUndefined()
  })

  it('throws if the recipe that it finds is invalid', async () => {
    const bad = nixBuild({ spec: { flakeUrl: 'path:relative' } })
    await expect(lookupWith(async () => [bad]).find(query)).rejects.toMatchObject({ code: 'RecipeInvalid' })
  })
})

describe('an image that a NixBuild gave to a pod', () => {
  const { image } = query
  const made = recipeKey(recipeOf(nixBuild()))
  const changed: Answer = async () => [nixBuild({ spec: { flakeUrl: 'github:team/other' } })]

  it.each<[string, Answer, boolean]>([
    ['is not outdated while its NixBuild has the same recipe', found, false],
    ['is outdated if its NixBuild has another recipe now', changed, true],
    ['is not outdated if it has no NixBuild any more', async () => [], false],
    ['is not outdated while the API server does not answer', away, false],
    [
      'is not outdated if its NixBuild has a recipe now that the policy does not allow',
      async () => [nixBuild({ spec: { flakeUrl: 'github:team/refused' } })],
      false,
    ],
    [
      'is not outdated if its NixBuild is invalid now',
      async () => [nixBuild({ spec: { flakeUrl: 'path:relative' } })],
      false,
    ],
  ])('%s', async (_, answer, expected) => {
    const { find, isOutdated } = lookupWith(found, answer)
    await find(query)
    expect(await isOutdated(image, made)).toBe(expected)
  })

  it('is the only kind of image that the API server is asked about', async () => {
    const { isOutdated, asked } = lookupWith(changed)
    expect(await isOutdated(image, made)).toBe(false)
    expect(asked).toEqual([])
  })
})

describe('the content of an unlocked flake that its NixBuild was built from', () => {
  const recipe = recipeOf(nixBuild())
  const lockedFlakeUrl = `github:team/app/${'a'.repeat(40)}`
  const [first, second] = nixBuildNames(recipe)
  const built = nixBuild({ status: { lockedFlakeUrl } })
  const ofOther = nixBuild({ spec: { packageName: 'other' }, status: { lockedFlakeUrl } })

  it.each<[string, (NixBuild | undefined)[], string | undefined, (string | undefined)[]]>([
    ['is found by the name of the recipe', [built], lockedFlakeUrl, [first]],
    ['is found by the next name if a user has taken the first', [ofOther, built], lockedFlakeUrl, [first, second]],
    ['is unknown without a NixBuild', [undefined], undefined, [first]],
    ['is unknown before it is built', [nixBuild()], undefined, [first]],
    [
      'is unknown if the NixBuild has the lock of another flake',
      [nixBuild({ status: { lockedFlakeUrl: `github:team/other/${'a'.repeat(40)}` } })],
      undefined,
      [first],
    ],
  ])('%s', async (_, answers, expected, names) => {
    const { findLock, named, asked } = lookupWith()
    named.push(...answers.map(answer => async () => answer))
    expect((await findLock({ recipe, namespace: 'team' }))?.url).toBe(expected)
    expect(asked).toEqual(names)
  })

  it('is that of the NixBuild that gave the recipe', async () => {
    const { findLock, named, asked } = lookupWith()
    named.push(async () => built)
    expect(await findLock({ recipe, namespace: 'team', nixBuild: 'by-hand' })).toMatchObject({ url: lockedFlakeUrl })
    expect(asked).toEqual(['by-hand'])
  })

  it('is unknown if the API server does not answer, and no request follows for a while', async () => {
    const { findLock, find, named, asked } = lookupWith()
    named.push(() => new Promise(() => {}))
    expect(await findLock({ recipe, namespace: 'team' })).toBeUndefined()
    expect(await find(query)).toBeUndefined()
    expect(asked).toEqual([first])
  })
})
