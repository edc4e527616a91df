import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import type { NixBuild } from '../../../../kube/resources/nixbuild.ts'
import { FinalError, RetryableError } from '../../../../lib/errors.ts'
import { createClusterLookup } from '../../../../shim/cluster/lookup/cluster-lookup.ts'
import { nixBuild } from '../nixbuilds.ts'

const { signal } = new AbortController()
const query = { image: 'registry.example/team/app:1', namespace: 'team', signal }

type Answer = (signal: AbortSignal) => Promise<readonly NixBuild[]>

/** A look-up of a cluster that answers so, each call in turn. */
function lookupWith(...answers: readonly Answer[]) {
  const asked: string[] = []
  const clock = { now: 0 }
  const lookup = createClusterLookup({
    nixBuildsOf({ image, signal: limit }) {
      asked.push(image)
      return (answers[asked.length - 1] ?? (async () => []))(limit)
    },
    system: 'x86_64-linux',
    timeoutMs: 20,
    now: () => clock.now,
    logger: pino({ level: 'silent' }),
  })
  return { find: lookup.find, asked, clock }
}

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

  it('throws if the recipe that it finds is invalid', async () => {
    const bad = nixBuild({ spec: { flakeUrl: 'path:relative' } })
    await expect(lookupWith(async () => [bad]).find(query)).rejects.toMatchObject({ code: 'RecipeInvalid' })
  })
})
