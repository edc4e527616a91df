import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PATIENT } from '../../patience.ts'
import { find, mustClaim, useNodes } from './nodes.ts'
import { somePath } from './paths.ts'

let nodes: Awaited<ReturnType<typeof useNodes>>
beforeAll(async () => {
  nodes = await useNodes()
})
afterAll(() => nodes?.[Symbol.asyncDispose]())

const never = () => new AbortController().signal

describe('a node that has a path already', () => {
  test('tells so, with the rights of a shim, and others copy from it instead of building', async () => {
    const path = somePath()
    const owner = await nodes.add({ isBound: true })
    owner.sharing.has(path.storePath)
    await expect.poll(() => nodes.leaseOf(path), PATIENT).toMatchObject({ holder: '', nodes: [owner.name] })
    const other = await nodes.add()
    expect(await other.sharing.claim(path, never())).toBeUndefined()
    const from = await find(other, path).copy()
    expect(from.node).toBe(owner.name)
    await from.end(true)
  })

  test('joins the nodes that have it', async () => {
    const path = somePath()
    const [first, second] = [await nodes.add(), await nodes.add()]
    await (await mustClaim(first, path)).end()
    second.sharing.has(path.storePath)
    await expect.poll(async () => (await nodes.leaseOf(path))?.nodes, PATIENT).toEqual([first.name, second.name])
  })

  test('looks once, and not at all for a path that it has just built', async () => {
    const [told, built] = [somePath(), somePath()]
    const node = await nodes.add()
    await (await mustClaim(node, built)).end()
    const before = node.requests.length
    node.sharing.has(built.storePath)
    node.sharing.has(told.storePath)
    node.sharing.has(told.storePath)
    await expect.poll(() => nodes.leaseOf(told), PATIENT).toMatchObject({ holder: '', nodes: [node.name] })
    expect(node.requests.slice(before)).toEqual(['get leases', 'create leases', 'patch leases'])
  })

  test('is waited for if it has just started, and has not told its address yet', async () => {
    const path = somePath()
    const owner = await nodes.add({ store: null })
    await (await mustClaim(owner, path)).end()
    const other = await nodes.add({ times: { silentMs: 600_000 } })
    expect(await other.sharing.claim(path, never())).toBeUndefined()
    const finding = find(other, path)
    await expect
      .poll(() => other.requests.filter(request => request === 'get nixnodes').length, PATIENT)
      .toBeGreaterThan(1)
    await nodes.announce(owner)
    expect((await finding.copy()).node).toBe(owner.name)
    await (await finding.copy()).end(true)
  })

  test('says nothing if nobody can copy from it', async () => {
    const path = somePath()
    const node = await nodes.add({ serves: false })
    node.sharing.has(path.storePath)
    expect(node.requests).toEqual([])
  })
})
