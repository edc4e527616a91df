import { describe, expect, it } from 'vitest'
import { createLeadKube } from '../../controller/lead-kube.ts'
import type { Kube } from '../../kube/client/contract.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'

const NAME = { namespace: 'team', name: 'app' }
const OBJECT = { ...NAME, body: {} }
const RATE = { qps: 100, burst: 100 }

/** An API server that answers once the caller leaves. */
function start({ isHeld = true } = {}) {
  const leading = new AbortController()
  const asked: string[] = []
  const answerTo = (verb: string, signal?: AbortSignal) => {
    asked.push(verb)
    return new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
  }
  const kube: Kube = {
    get: (_kind, _name, options) => answerTo('get', options?.signal),
    list: (_kind, _selection, _onItem, options) => answerTo('list', options?.signal),
    create: (_kind, _object, options) => answerTo('create', options?.signal),
    patch: (_kind, _object, options) => answerTo('patch', options.signal),
    replace: (_kind, _object, options) => answerTo('replace', options?.signal),
    delete: (_kind, _name, options) => answerTo('delete', options?.signal),
    async *watch() {},
    close: async () => {},
  }
  return { leading, asked, kube: createLeadKube(kube, { signal: leading.signal, isHeld: () => isHeld }, RATE) }
}

const PATCH = { type: 'merge', fieldManager: 'test' } as const
const WRITES: [string, (kube: Kube) => Promise<unknown>][] = [
  ['create', kube => kube.create(nixBuilds, OBJECT)],
  ['patch', kube => kube.patch(nixBuilds, OBJECT, PATCH)],
  ['replace', kube => kube.replace(nixBuilds, OBJECT)],
  ['delete', kube => kube.delete(nixBuilds, NAME)],
]

describe('a leader that has lost the lead', () => {
  it.each(WRITES)('does not %s, though nothing has told it so', async (_, write) => {
    const { kube, asked } = start({ isHeld: false })
    await expect(write(kube)).rejects.toMatchObject({ code: 'Cancelled' })
    expect(asked).toEqual([])
  })

  it.each([...WRITES, ['get', (kube: Kube) => kube.get(nixBuilds, NAME)] as const])(
    'cancels a %s that has no answer yet',
    async (verb, call) => {
      const { kube, asked, leading } = start()
      const answer = call(kube)
      await expect.poll(() => asked).toEqual([verb])
      leading.abort(new Error('lost'))
      await expect(answer).rejects.toThrow('lost')
    },
  )
})
