import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PathSource } from '../../../shim/nix/sharing.ts'
import { PATIENT } from '../../patience.ts'
import { find, never, somePath, useNodes } from './nodes.ts'

let nodes: Awaited<ReturnType<typeof useNodes>>
beforeAll(async () => {
  nodes = await useNodes()
})
afterAll(() => nodes?.[Symbol.asyncDispose]())

describe('of ten nodes that want a path', () => {
  test('one builds it, and the others hear of its progress and then copy it', async () => {
    const path = somePath()
    const all = await Promise.all(Array.from({ length: 10 }, () => nodes.add()))
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
    const sources = await Promise.all(waiting.map(({ source }) => endCopy(source)))
    expect(new Set(sources.map(({ node }) => node)).size).toBeGreaterThan(1)
    expect(sources.map(({ node }) => node)).toContain(builders[0]?.name)
  })
})

async function endCopy(source: Promise<PathSource>, copied = true) {
  const found = await source
  if (found.kind !== 'copy') throw new Error('it is to be built')
  await found.from.end(copied)
  return found.from
}
