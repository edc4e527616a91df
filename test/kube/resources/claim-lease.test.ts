import { describe, expect, test } from 'vitest'
import {
  CLAIM_LIMITS,
  claimLeases,
  claimPatch,
  isSharedFailure,
  newClaim,
  pathClaimName,
  slotName,
} from '../../../kube/resources/claim-lease.ts'

const HASH = '0123456789abcdfghijklmnpqrsvwxyz'
const METADATA = { name: 'path-1', uid: 'u', resourceVersion: '7', creationTimestamp: '2026-01-01T00:00:00Z' }

test.each([
  [`/nix/store/${HASH}-web`, `path-${HASH}`],
  [`/nix/store/${HASH}-web/bin`, undefined],
  ['/nix/store/short-web', undefined],
  [`/tmp/${HASH}-web`, undefined],
])('the claim of %s is the Lease %s', (storePath, name) => {
  expect(pathClaimName(storePath)).toBe(name)
})

test('slots of nodes with long names have different names, which are names of Leases', () => {
  const long = ['a', 'b'].map(end => 'n'.repeat(252) + end)
  const names = long.map(node => slotName(node, 63))
  expect(new Set(names).size).toBe(2)
  for (const name of names) expect(name).toMatch(/^slot-[a-z0-9][-a-z0-9.]{1,240}-63$/)
  expect(slotName('worker-3', 0)).toBe('slot-worker-3-0')
})

describe('a claim', () => {
  test('is read as it was written', () => {
    const storePath = `/nix/store/${HASH}-web`
    const drvPath = `${storePath}.drv`
    const body = newClaim({ holder: 'a', durationMs: 30_000, path: { storePath, drvPath } })
    const empty = { progress: '', nodes: [], failure: undefined }
    expect(read(body)).toEqual({ resourceVersion: '7', holder: 'a', durationMs: 30_000, derivation: drvPath, ...empty })
    const failure = { code: 'BuilderFailed', message: 'line 1\nline 2', node: 'a' } as const
    const patch = claimPatch('7', { holder: '', progress: 'building 1 of 2', nodes: ['a', 'b'], failure })
    expect(read(patch)).toMatchObject({ holder: '', progress: 'building 1 of 2', nodes: ['a', 'b'], failure })
  })

  test('has bounded and clean texts, whatever a node has written', () => {
    const nodes = ['good', 'Bad', 'a b', '', '../x', ...Array.from({ length: 20 }, (_, index) => `n-${index}`)]
    const lease = annotated({
      progress: `\u001b[31mred\u001b[0m\n${'x'.repeat(500)}`,
      nodes: nodes.join(','),
      failure: JSON.stringify({ code: 'BuilderFailed', message: `\u0007${'y'.repeat(5_000)}`, node: 'a' }),
    })
    expect(lease.progress).toMatch(/^red x+$/)
    expect(lease.progress.length).toBeLessThanOrEqual(CLAIM_LIMITS.progress)
    expect(lease.nodes).toEqual(['good', 'n-0', 'n-1', 'n-2'])
    expect(lease.failure?.message).toMatch(/^y+\n…\ny+$/)
    expect(lease.failure?.message.length).toBeLessThanOrEqual(CLAIM_LIMITS.failureMessage + 3)
  })

  test.each(['', 'web.drv', `/nix/store/${HASH}-web.drv/..`, `/nix/store/${HASH}-\u0007`])(
    'has no derivation if its annotation is %j',
    derivation => {
      expect(annotated({ derivation }).derivation).toBe('')
    },
  )

  test.each([
    ['no JSON', 'broken'],
    ['a code that another node may not meet', '{"code":"SystemUnsupported","message":"m","node":"a"}'],
    ['an invented code', '{"code":"__proto__","message":"m","node":"a"}'],
    ['the name of no node', '{"code":"BuilderFailed","message":"m","node":"A B"}'],
    ['too much', JSON.stringify({ code: 'BuilderFailed', message: 'x'.repeat(20_000), node: 'a' })],
  ])('has no failure if its annotation is %s', (_, failure) => {
    expect(annotated({ failure }).failure).toBeUndefined()
  })

  test.each(['"', '\u0001', 'é'])('has room for a failure of many %j', character => {
    const failure = { code: 'BuilderFailed', message: `it broke ${character.repeat(9_000)}`, node: 'a' } as const
    const lease = read(claimPatch('7', { failure }))
    expect(lease.failure?.message).toMatch(/^it broke/)
  })

  test.each([
    [0, 1_000],
    [30, 30_000],
    [31_536_000, 60_000],
  ])('for %i seconds lasts %i ms', (leaseDurationSeconds, durationMs) => {
    expect(read({ spec: { leaseDurationSeconds } }).durationMs).toBe(durationMs)
  })

  test('says nothing about nodes, progress and failure that are removed', () => {
    expect(claimPatch('7', { progress: null, nodes: [], failure: null })).toEqual({
      metadata: {
        resourceVersion: '7',
        annotations: { 'enbi.hrzn.ee/progress': null, 'enbi.hrzn.ee/nodes': null, 'enbi.hrzn.ee/failure': null },
      },
    })
  })
})

test('only failures that every node would meet are shared', () => {
  const codes = ['BuilderFailed', 'BuildTimedOut', 'SystemUnsupported', 'DiskFull', 'Cancelled', 'toString']
  expect(codes.filter(isSharedFailure)).toEqual(['BuilderFailed'])
})

function annotated(texts: Readonly<Record<string, string>>) {
  const annotations = Object.fromEntries(Object.entries(texts).map(([name, text]) => [`enbi.hrzn.ee/${name}`, text]))
  return read({ metadata: { annotations } })
}

function read({ metadata, ...body }: { readonly metadata?: object; readonly spec?: object }) {
  return claimLeases.parse({ ...body, metadata: { ...METADATA, ...metadata } })
}
