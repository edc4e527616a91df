import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fetchNarInfo } from '../../../../shim/nix/binary-cache/fetch-narinfo.ts'
import { type BinaryCache, startBinaryCache } from '../../../node/binary-cache.ts'
import { WRONG_NARINFOS } from './wrong-narinfo.ts'

const HASH = '0'.repeat(32)
const STORE_PATH = `/nix/store/${HASH}-app`
const RIGHT = `StorePath: ${STORE_PATH}
URL: nar/app.nar
NarHash: sha256:${'1'.repeat(52)}
NarSize: 120
References:
Sig: worker-3:AAAA
`

let cache: BinaryCache
beforeAll(async () => {
  cache = await startBinaryCache('/nonexistent')
})
afterAll(() => cache[Symbol.asyncDispose]())

const ask = (changes = {}) =>
  fetchNarInfo({
    url: cache.url,
    storePath: STORE_PATH,
    env: {},
    followsRedirects: false,
    signal: new AbortController().signal,
    ...changes,
  })

describe('the narinfo of a binary cache', () => {
  it.each(['', '/', '/folder', '/folder/?priority=10'])('is read from the URL that ends with %j', async end => {
    let asked = ''
    cache.instead((path, response) => {
      asked = path
      return !!response.end(RIGHT)
    })
    expect(await ask({ url: `${cache.url}${end}` })).toMatchObject({ storePath: STORE_PATH, narSize: 120 })
    expect(asked).toBe(`${end.startsWith('/folder') ? '/folder' : ''}/${HASH}.narinfo`)
  })

  it.each([
    ['about another path', 'it answers about another path'],
    ['garbage', 'its answer about the path (the narinfo) is not valid'],
    ['huge', 'its answer about the path (the narinfo) is not valid'],
    ['endless', 'its answer about the path (the narinfo) is not valid'],
    ['cut', 'it cannot be asked'],
    ['silent', 'it did not answer in time'],
    ['missing', 'it does not have the path'],
    ['an error', 'it answers with status 500'],
    ['a redirect', 'it answers with status 302'],
  ] as const)('is refused if it is %s', async (fault, words) => {
    cache.instead((_, response) => {
      WRONG_NARINFOS[fault](response, RIGHT)
      return true
    })
    // Only the silent server makes this wait.
    const limitMs = fault === 'silent' ? 100 : 60_000
    const refusal = { code: 'CopyFailed', message: expect.stringContaining(words) }
    await expect(ask({ limitMs })).rejects.toMatchObject(refusal)
  })

  it('is read from where a store redirects to, but a few times at most', async () => {
    let redirects = 3
    cache.instead((_, response) => {
      redirects -= 1
      return !!(redirects < 0 ? response.end(RIGHT) : response.writeHead(302, { location: '/elsewhere' }).end())
    })
    expect(await ask({ followsRedirects: true })).toMatchObject({ storePath: STORE_PATH })
    redirects = 100
    await expect(ask({ followsRedirects: true })).rejects.toThrow('it answers with status 302')
    expect(redirects).toBe(94)
  })

  it('is asked through the proxy that the environment of nix names', async () => {
    let asked = ''
    cache.instead((path, response) => {
      asked = path
      return !!response.end(RIGHT)
    })
    await ask({ url: 'http://cache.invalid', env: { http_proxy: cache.url } })
    expect(asked).toBe(`http://cache.invalid/${HASH}.narinfo`)
  })

  it('is unknown if the server wants a login, which only nix has', async () => {
    cache.instead((_, response) => !!response.writeHead(401).end())
    expect(await ask()).toBeUndefined()
  })

  it('is no longer waited for when the call is cancelled', async () => {
    cache.instead(() => true)
    const controller = new AbortController()
    const asking = ask({ signal: controller.signal })
    controller.abort()
    await expect(asking).rejects.toMatchObject({ code: 'CopyFailed' })
  })
})
