import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Kube } from '../../../kube/client/contract.ts'
import { FinalError, RetryableError } from '../../../lib/errors.ts'
import { serveHttp } from '../../node/serve-http.ts'
import { PATIENT } from '../../patience.ts'
import { type Finding, find, mustClaim, type NodeOptions, type ShareNode, useNodes } from './nodes.ts'
import { somePath } from './paths.ts'

let nodes: Awaited<ReturnType<typeof useNodes>>
beforeAll(async () => {
  nodes = await useNodes()
})
afterAll(() => nodes?.[Symbol.asyncDispose]())

const BROKEN = new FinalError('BuilderFailed', 'builder for web failed: exit code 1')
const never = () => new AbortController().signal

describe('of several nodes that want a path', () => {
  test('one builds it, the others hear of its progress and copy it, from all that have it by then', async () => {
    const path = somePath()
    const all = await Promise.all(Array.from({ length: 10 }, (_, index) => nodes.add(servingOne(index))))
    const claims = await Promise.all(all.map(({ sharing }) => sharing.claim(path, never())))
    const builders = all.filter((_, index) => claims[index])
    expect(builders).toHaveLength(1)
    const claim = claims.find(Boolean)
    const waiting = all.filter(node => !builders.includes(node)).map(node => find(node, path))
    claim?.progress({ phase: 'building', done: 12, expected: 40 })
    for (const { progress } of waiting) {
      const heard = { phase: 'waiting', node: builders[0]?.name, progress: 'building 12 of 40' }
      await expect.poll(() => progress, PATIENT).toContainEqual(heard)
    }
    await claim?.end()
    // Each serves one at a time.
    const copying = () => waiting.filter(({ isOver }) => isOver())
    await expect.poll(() => copying().length, PATIENT).toBe(1)
    const [first] = copying()
    expect((await first?.copy())?.node).toBe(builders[0]?.name)
    await (await first?.copy())?.end(true)
    await expect.poll(() => copying().length, PATIENT).toBe(3)
    const sources = await Promise.all(copying().map(({ copy }) => copy()))
    expect(new Set(sources.map(({ url }) => url)).size).toBe(2)
    await Promise.all(waiting.map(copyAll))
    const known = (await nodes.leaseOf(path))?.nodes
    expect(known?.length).toBeGreaterThan(2)
    expect(known?.length).toBeLessThanOrEqual(8)
  })

  test('no more copy from a node at the same time than it allows', async () => {
    const path = somePath()
    const [builder, ...others] = await addMany(5, { store: { address: 'http://10.0.0.5:5000', maxServed: 2 } })
    await (await claimOf(builder, path)).end()
    const finding = others.map(node => find(node, path))
    const copying = () => finding.filter(({ isOver }) => isOver())
    await expect.poll(() => copying().length, PATIENT).toBe(2)
    // The others have looked again, and found no slot.
    const before = others.map(({ requests }) => requests.length)
    const looks = () => others.filter(({ requests }, index) => requests.length > (before[index] ?? 0) + 3)
    await expect.poll(() => looks().length, PATIENT).toBeGreaterThanOrEqual(2)
    expect(copying()).toHaveLength(2)
    // Those that have it can be copied from now.
    for (const each of copying()) await copyAll(each)
    await Promise.all(finding.map(copyAll))
  })

  test('a node that waits asks little of the API server, and lists nothing', async () => {
    const path = somePath()
    const [builder, other] = await addMany(2)
    const claim = await claimOf(builder, path)
    expect(await other?.sharing.claim(path, never())).toBeUndefined()
    const finding = findOn(other, path)
    for (const done of [1, 2, 3]) {
      claim.progress({ phase: 'building', done, expected: 3 })
      const heard = expect.objectContaining({ progress: `building ${done} of 3` })
      await expect.poll(() => finding.progress, PATIENT).toContainEqual(heard)
    }
    expect(other?.requests).toEqual(['get leases', 'watch leases'])
    await claim.end()
    await copyAll(finding)
    expect(other?.requests.slice(2)).toEqual(['get nixnodes', 'create leases', 'patch leases', 'patch leases'])
  })

  test('a final failure of the build is theirs, too, but only once', async () => {
    const path = somePath()
    const [builder, other] = await addMany(2)
    const claim = await claimOf(builder, path)
    const finding = findOn(other, path)
    await expect.poll(() => finding.progress, PATIENT).not.toEqual([])
    await claim.end(BROKEN)
    const told = { code: 'BuilderFailed', retryable: false, message: `${BROKEN.message} (built on ${builder?.name})` }
    await expect(finding.source).rejects.toMatchObject(told)
    await (await findOn(other, path).claim()).end()
  })

  test('a build of another derivation with the same output neither delays the others nor fails them', async () => {
    const path = somePath()
    const other = { ...path, drvPath: somePath().drvPath }
    const [hostile, node, third] = await addMany(3)
    const claim = await claimOf(hostile, other)
    const alone = await claimOf(node, path)
    const second = findOn(hostile, path)
    await (await second.claim()).end(new RetryableError('Cancelled', 'the caller went away'))
    expect((await nodes.leaseOf(path))?.holder).toBe(hostile?.name)
    await claim.end()
    await (await findOn(third, path, new Set([hostile?.url ?? ''])).claim()).end()
    await alone.end()
    expect((await nodes.leaseOf(path))?.nodes).toEqual([hostile?.name, third?.name, node?.name])
  })

  test.each([
    ['it was cancelled', new RetryableError('Cancelled', 'the caller went away')],
    ['it failed because of its node', new FinalError('SystemUnsupported', 'this node has no kvm')],
  ])('another one builds after a build has ended because %s', async (_, failure) => {
    const path = somePath()
    const [builder, ...others] = await addMany(3)
    const claim = await claimOf(builder, path)
    const finding = others.map(node => find(node, path))
    await claim.end(failure)
    const claims = () => finding.filter(({ isOver }) => isOver())
    await expect.poll(() => claims().length, PATIENT).toBe(1)
    for (const each of claims()) await (await each.claim()).end()
    for (const each of finding.filter(each => !claims().includes(each))) await copyAll(each)
  })
})

describe('a node takes the claim over', () => {
  test('if its holder is silent for as long as it has claimed', async () => {
    const path = somePath()
    await nodes.claimFor(path, { holder: 'lost', durationMs: 2_000 })
    const node = await nodes.add()
    expect(await node.sharing.claim(path, never())).toBeUndefined()
    await (await find(node, path).claim()).end()
    expect(await nodes.leaseOf(path)).toMatchObject({ holder: '', nodes: [node.name] })
  })

  test('and leaves the nodes that have the path to the others, if it cannot copy from them', async () => {
    const path = somePath()
    const [builder, distrusting, other] = await addMany(3)
    await (await claimOf(builder, path)).end()
    const claim = await findOn(distrusting, path, new Set([builder?.url ?? ''])).claim()
    expect((await findOn(other, path).copy()).node).toBe(builder?.name)
    await claim.end()
    expect((await nodes.leaseOf(path))?.nodes).toEqual([builder?.name, distrusting?.name])
  })

  test('immediately if it is its own, from an earlier process', async () => {
    const path = somePath()
    const node = await nodes.add()
    await nodes.claimFor(path, { holder: node.name, durationMs: 60_000 })
    await (await claimOf(node, path)).end()
  })

  test('if the nodes that have the path cannot be copied from', async () => {
    const path = somePath()
    const addresses = [undefined, 'ftp://10.0.0.5', 'http://user:secret@10.0.0.5', 'no address', 'http://10.0.0.6:5000']
    const builders = await Promise.all(addresses.map(address => nodes.add({ store: { address } })))
    for (const [index, builder] of builders.entries()) {
      const [failed] = index === 0 ? [] : [new Set(['http://10.0.0.6:5000'])]
      const claim = (await builder.sharing.claim(path, never())) ?? (await find(builder, path, failed).claim())
      await claim.end()
    }
    const node = await nodes.add()
    expect(await node.sharing.claim(path, never())).toBeUndefined()
    const from = await find(node, path).copy()
    expect(from.url).toBe('http://10.0.0.6:5000')
    await from.end(false)
    await (await find(node, path, new Set([from.url])).claim()).end()
  })

  test('no earlier than its time to wait is over, if a node claims everything', async () => {
    const path = somePath()
    const [holder, node] = [await nodes.add(), await nodes.add({ waitMs: 4_000 })]
    const claim = await claimOf(holder, path)
    const finding = find(node, path)
    await (await finding.claim()).end()
    expect(finding.progress).not.toEqual([])
    expect((await nodes.leaseOf(path))?.holder).toBe(holder?.name)
    await claim.end()
  })
})

describe('a second run of the node', () => {
  test('waits for the first one, and asks the API server nothing', async () => {
    const path = somePath()
    const node = await nodes.add()
    const claim = await claimOf(node, path)
    const before = node.requests.filter(request => !request.startsWith('patch')).length
    expect(await node.sharing.claim(path, never())).toBeUndefined()
    const second = find(node, path)
    claim.progress({ phase: 'building', done: 1, expected: 2 })
    await expect.poll(() => second.progress, PATIENT).toContainEqual({ phase: 'building', done: 1, expected: 2 })
    await claim.end()
    await (await second.claim()).end()
    expect(node.requests.filter(request => !request.startsWith('patch'))).toHaveLength(before)
  })

  test('fails like the first one, if that is final', async () => {
    const path = somePath()
    const node = await nodes.add()
    const claim = await claimOf(node, path)
    const second = find(node, path)
    await claim.end(BROKEN)
    await expect(second.source).rejects.toBe(BROKEN)
  })

  test('takes the place of the first one if that is cancelled', async () => {
    const path = somePath()
    const node = await nodes.add()
    const run = new AbortController()
    await mustClaim(node, path, run)
    const second = find(node, path)
    run.abort()
    await (await second.claim()).end()
  })

  test('waits while the first one copies', async () => {
    const path = somePath()
    const [builder, node] = await addMany(2)
    await (await claimOf(builder, path)).end()
    const first = findOn(node, path)
    const from = await first.copy()
    const second = findOn(node, path)
    await from.end(true)
    await (await second.claim()).end()
  })
})

describe('a node that must not build', () => {
  test('waits for a node that claims the path later, and copies', async () => {
    const path = somePath()
    const [fetcher, builder] = [await nodes.add({ fetchOnly: true, serves: false }), await nodes.add()]
    expect(await fetcher.sharing.claim(path, never())).toBeUndefined()
    const finding = find(fetcher, path)
    await expect.poll(() => finding.progress, PATIENT).not.toEqual([])
    await (await claimOf(builder, path)).end()
    await copyAll(finding)
    expect((await nodes.leaseOf(path))?.nodes).toEqual([builder?.name])
  })

  test('copies again from where a copy has failed before', async () => {
    const path = somePath()
    const builder = await nodes.add()
    await (await claimOf(builder, path)).end()
    const times = { storeAgainMs: 300 }
    for (const options of [{}, { stores: ['s3://bucket'], isAlone: true }]) {
      const fetcher = await nodes.add({ fetchOnly: true, serves: false, times, ...options })
      const failed = new Set<string>()
      const first = await find(fetcher, path, failed).copy()
      await first.end(false)
      failed.add(first.url)
      const second = await find(fetcher, path, failed).copy()
      expect(second.url).toBe(first.url)
      await second.end(true)
    }
  })

  test('copies although the API server has not told the address of the only peer at first', async () => {
    const path = somePath()
    const builder = await nodes.add()
    await (await claimOf(builder, path)).end()
    let isFirst = true
    const kube: Kube = {
      ...nodes.kube,
      async get(kind, ...rest) {
        const fails = isFirst && kind.plural === 'nixnodes'
        if (fails) isFirst = false
        if (fails) throw new RetryableError('ClusterAway', 'no answer')
        return nodes.kube.get(kind, ...rest)
      },
    }
    const fetcher = await nodes.add({ kube, fetchOnly: true, serves: false })
    await copyAll(find(fetcher, path))
  })

  test('fails if no other node has built the path in time', async () => {
    const path = somePath()
    const fetcher = await nodes.add({ fetchOnly: true, waitMs: 500 })
    await expect(find(fetcher, path).source).rejects.toMatchObject({ code: 'NothingBuilt', retryable: true })
    expect(fetcher.requests).not.toContain('create leases')
  })
})

describe('with stores in its config', () => {
  test('a node copies from the first one that has the path', async () => {
    const path = somePath()
    await using empty = await startCache(404)
    await using full = await startCache(200)
    const node = await nodes.add({ stores: [empty.url, full.url] })
    expect(await node.sharing.claim(path, never())).toBeUndefined()
    const from = await find(node, path).copy()
    expect(from).toMatchObject({ url: full.url })
    expect(from.node).toBeUndefined()
    await from.end(true)
    expect(full.asked[0]).toBe(`/${path.storePath.slice(11, 43)}.narinfo`)
    expect(node.requests).toEqual([])
  })

  test('a node claims what they have not, or what could not be copied from them', async () => {
    const path = somePath()
    await using empty = await startCache(404)
    await using silent = await startCache(undefined)
    const node = await nodes.add({ stores: [empty.url, silent.url, 'http://127.0.0.1:1'], times: { storeMs: 200 } })
    await (await claimOf(node, path)).end()
    await (await claimOf(node, somePath())).end()
    expect([empty, silent].map(({ asked }) => asked.length)).toEqual([2, 1])
    const other = await nodes.add({ stores: ['s3://bucket'] })
    const from = await find(other, path).copy()
    expect(from.url).toBe('s3://bucket')
    await from.end(false)
    expect((await find(other, path, new Set([from.url])).copy()).node).toBe(node.name)
  })

  test('a node that nobody can copy from keeps its claim until the path is in a store, from where the others copy it', async () => {
    const path = somePath()
    await using cache = await startCache(404)
    const options = { serves: false, pushes: true, stores: [cache.url] }
    const [builder, other] = await addMany(2, options)
    const assuming = await nodes.add({ ...options, stores: ['s3://bucket'] })
    const claim = await claimOf(builder, path)
    const finding = [findOn(other, path), find(assuming, path, new Set(['s3://bucket']))]
    for (const { progress } of finding) await expect.poll(() => progress, PATIENT).not.toEqual([])
    const { promise: pushed, resolve } = Promise.withResolvers<void>()
    const ended = claim.end(undefined, pushed)
    for (const { progress } of finding) {
      const heard = { phase: 'waiting', node: builder?.name, progress: 'pushing' }
      await expect.poll(() => progress, PATIENT).toContainEqual(heard)
    }
    // Other runs of the node do not wait.
    await (await findOn(builder, path).claim()).end()
    expect((await nodes.leaseOf(path))?.holder).toBe(builder?.name)
    cache.answer(200)
    resolve()
    await ended
    expect(await Promise.all(finding.map(async each => (await each.copy()).url))).toEqual([cache.url, 's3://bucket'])
    for (const each of finding) await copyAll(each)
  })

  test('a claim of what is being pushed is released when the shim stops', async () => {
    const path = somePath()
    const node = await nodes.add({ serves: false, pushes: true })
    const ended = (await claimOf(node, path)).end(undefined, new Promise(() => {}))
    await node.sharing.close(60_000)
    await ended
    expect((await nodes.leaseOf(path))?.holder).toBe('')
  })

  test('a node asks one that wants a login by copying from it', async () => {
    await using private_ = await startCache(401)
    await using bucket = await startCache(403)
    const node = await nodes.add({ stores: [bucket.url, private_.url], isAlone: true })
    expect((await find(node, somePath()).copy()).url).toBe(private_.url)
  })

  test('a node asks them through the proxy of its environment', async () => {
    await using proxy = await startCache(200)
    const env = { http_proxy: proxy.url }
    const node = await nodes.add({ stores: ['http://cache.example'], isAlone: true, env })
    expect((await find(node, somePath()).copy()).url).toBe('http://cache.example')
    expect(proxy.asked[0]).toMatch(/^http:\/\/cache\.example\//)
  })

  test('a node without a cluster builds what they have not', async () => {
    await using full = await startCache(200)
    await using empty = await startCache(404)
    const [copies, builds] = await Promise.all(
      [full, empty].map(({ url }) => nodes.add({ stores: [url], isAlone: true })),
    )
    expect((await findOn(copies, somePath()).copy()).url).toBe(full.url)
    await (await claimOf(builds, somePath())).end()
    await (await findOn(builds, somePath()).claim()).end()
  })
})

test('shims have the rights for all of it, and for nothing in the name of others', async () => {
  const path = somePath()
  const [builder, other, third] = await addMany(3, { isBound: true })
  const claim = await claimOf(builder, path)
  const finding = findOn(other, path)
  claim.progress({ phase: 'building', done: 1, expected: 2 })
  await expect
    .poll(() => finding.progress, PATIENT)
    .toContainEqual({ phase: 'waiting', node: builder?.name, progress: 'building 1 of 2' })
  await claim.end()
  await copyAll(finding)
  await copyAll(findOn(third, path))
  expect([...((await nodes.leaseOf(path))?.nodes ?? [])].sort()).toEqual(
    [builder, other, third].map(node => node?.name).sort(),
  )
  const broken = somePath()
  await (await claimOf(builder, broken)).end(BROKEN)
  await expect(findOn(other, broken).source).rejects.toMatchObject({ code: 'BuilderFailed' })
})

function servingOne(index: number): NodeOptions {
  return { store: { address: `http://10.0.0.${index}:5000`, maxServed: 1 } }
}

function addMany(count: number, options: NodeOptions = {}): Promise<ShareNode[]> {
  return Promise.all(Array.from({ length: count }, () => nodes.add(options)))
}

function claimOf(node: ShareNode | undefined, path: ReturnType<typeof somePath>) {
  return mustClaim(given(node), path)
}

function findOn(node: ShareNode | undefined, path: ReturnType<typeof somePath>, failed = new Set<string>()): Finding {
  return find(given(node), path, failed)
}

function given(node: ShareNode | undefined): ShareNode {
  if (!node) throw new Error('there is no such node')
  return node
}

async function copyAll(finding: Finding) {
  const from = await finding.copy()
  await from.end(true)
  return from
}

/** Answers each question with that status; undefined: it answers nothing. */
async function startCache(first: number | undefined) {
  let status = first
  const asked: (string | undefined)[] = []
  const server = await serveHttp((request, response) => {
    asked.push(request.url)
    if (status !== undefined) response.writeHead(status).end()
  })
  return {
    ...server,
    asked,
    answer(next: number) {
      status = next
    },
  }
}
