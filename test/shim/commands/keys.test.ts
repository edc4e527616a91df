import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nixNodes } from '../../../kube/resources/nixnode.ts'
import { judgeKeys } from '../../../shim/cluster/published-keys.ts'
import { formatKeys, keys } from '../../../shim/commands/keys.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import { useCluster } from '../../cluster/use-cluster.ts'

const key = (name: string, byte: number) => `${name}:${Buffer.alloc(32, byte).toString('base64')}`
const signal = AbortSignal.timeout(60_000)

describe('the keys of nodes', () => {
  const judged = judgeKeys(
    [
      { node: 'c', text: key('c.enbi-1', 3) },
      { node: 'b', text: undefined },
      { node: 'a', text: key('a.enbi-1', 1) },
      { node: 'd', text: key('a.enbi-1', 2) },
      { node: 'e', text: 'junk\u001b[2J' },
      { node: 'f', text: key('c.enbi-1', 3) },
      { node: 'g', text: key('c.enbi-1', 4), fetchOnly: true },
      { node: 'h', text: undefined, fetchOnly: true },
    ].map(stated => ({ address: undefined, fetchOnly: false, ...stated })),
  )

  it('leave out nodes without a key, with junk, with the name of another key, and those of nodes that build nothing', () => {
    expect(judged.map(({ node, key, problem }) => [node, key?.name ?? problem])).toEqual([
      ['a', 'its key has the name of another key: a.enbi-1, also of d'],
      ['b', 'it publishes no key'],
      ['c', 'c.enbi-1'],
      ['d', 'its key has the name of another key: a.enbi-1, also of a'],
      ['e', 'its key is not NAME:BASE64 of 32 bytes: "junk\\u001b[2J"'],
      ['f', 'c.enbi-1'],
      ['g', undefined],
      ['h', undefined],
    ])
  })

  it('are printed once each, as lines of nix.conf and as a list of Nix', () => {
    expect(formatKeys(judged, 'conf')).toBe(`extra-trusted-public-keys = ${key('c.enbi-1', 3)} # c f\n`)
    expect(formatKeys(judged, 'nix')).toBe(`[\n  "${key('c.enbi-1', 3)}" # c f\n]\n`)
  })

  it('are printed with their nodes as JSON', () => {
    expect(
      formatKeys(judged.slice(1, 3), 'json')
        .trim()
        .split('\n')
        .map(line => JSON.parse(line)),
    ).toEqual([
      { node: 'b', problem: 'it publishes no key' },
      { node: 'c', publicKey: key('c.enbi-1', 3) },
    ])
  })
})

describe('enbi-shim keys', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await useCluster()
  })
  afterAll(async () => cluster?.[Symbol.asyncDispose]())

  it('reads the keys of the nodes from the API server', async () => {
    const name = `keys-${process.pid}`
    const kube = cluster.client()
    await kube.create(nixNodes, { name, body: {} })
    const store = { publicKey: key(`${name}.enbi-1`, 7) }
    const patch = { type: 'merge', subresource: 'status', fieldManager: 'test' } as const
    await kube.patch(nixNodes, { name, body: { status: { store } } }, patch)
    const call = { kubeconfig: cluster.adminKubeconfig, configFile: '/none', format: 'conf' } as const
    const { text } = await keys(call, signal)
    await kube.patch(nixNodes, { name, body: { status: { store: { fetchOnly: true } } } }, patch)
    const fetching = await keys(call, signal)
    await kube.delete(nixNodes, { name })
    expect(fetching.text).not.toContain(name)
    expect(fetching.warnings.join()).not.toContain(name)
    expect(text.split('\n')).toContain(`extra-trusted-public-keys = ${store.publicKey} # ${name}`)
  })

  it('names the way out if the config has no cluster', async () => {
    const call = { kubeconfig: undefined, configFile: '/dev/null', format: 'conf' } as const
    await expect(keys(call, signal)).rejects.toThrow('has no kubernetes section: pass --kubeconfig FILE')
  })
})
