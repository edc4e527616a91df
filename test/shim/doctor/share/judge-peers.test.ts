import { expect, it } from 'vitest'
import type { NodeKey } from '../../../../shim/cluster/published-keys.ts'
import { judgeTrust } from '../../../../shim/doctor/share/judge-peers.ts'

const text = (name: string) => `${name}:${Buffer.alloc(32, 1).toString('base64')}`
const peer = (node: string, changes: Partial<NodeKey> = {}): NodeKey => ({
  ...{ node, address: `http://${node}:5000`, fetchOnly: false, problem: undefined },
  ...{ key: { name: node, text: text(node) }, text: text(node) },
  ...changes,
})

it.each<[string, readonly NodeKey[], readonly string[] | undefined, string, RegExp]>([
  ['are trusted', [peer('a'), peer('b')], [text('b'), text('a')], 'ok', /all 2 nodes/],
  ['are unknown here', [peer('a'), peer('b')], [text('b')], 'warning', /does not trust the keys of a: it builds/],
  ['are many', ['a', 'b', 'c', 'd', 'e'].map(node => peer(node)), [], 'warning', /of a, b, c and 2 more: it builds/],
  [
    'belong to nodes that build nothing',
    [peer('a'), peer('b', { key: undefined, fetchOnly: true })],
    [text('a')],
    'ok',
    /all 1 nodes/,
  ],
  ['belong to nodes that serve nothing', [peer('a', { address: undefined })], [], 'ok', /no other node serves/],
  [
    'have the name of another',
    [peer('a', { key: undefined, problem: 'its key has the name of another key: a, also of b' })],
    [],
    'warning',
    /nobody can trust what a serves; a: its key has the name of another key/,
  ],
  ['cannot be compared', [peer('a')], undefined, 'skipped', /does not tell which keys/],
])('the keys of other nodes that %s are judged', (_what, others, trusted, outcome, said) => {
  const settings = trusted && { trustedKeys: trusted, requiresSignatures: true }
  expect(judgeTrust(others, settings)).toMatchObject({ outcome, text: expect.stringMatching(said) })
})

it('without required signatures no key protects the node', () => {
  expect(judgeTrust([], { trustedKeys: [], requiresSignatures: false })).toMatchObject({
    outcome: 'warning',
    text: expect.stringContaining('without a signature'),
    wayOut: expect.stringContaining('require-sigs'),
  })
})
