import { describe, expect, test } from 'vitest'
import type { ClaimLease } from '../../../kube/resources/claim-lease.ts'
import { type DecideInput, type Decision, decide } from '../../../shim/share/decide.ts'

const SEEN_AT = 1_000
const DRV = '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-web.drv'
const OTHER_DRV = '/nix/store/00000000000000000000000000000000-web.drv'
const FAILURE = { code: 'BuilderFailed', message: 'it broke', node: 'other' } as const

describe('a node that wants a path', () => {
  test.each<[string, Partial<ClaimLease> | undefined, Partial<DecideInput>, Decision['kind'] | Decision]>([
    ['claims it if nobody has', undefined, {}, 'create'],
    ['takes a released claim', {}, {}, 'take'],
    ['takes its own claim of an earlier process', { holder: 'me' }, {}, 'take'],
    [
      'waits for the holder',
      { holder: 'other', progress: 'building 1 of 2' },
      { now: SEEN_AT + 10_000 },
      { kind: 'wait', node: 'other', progress: 'building 1 of 2', ms: 20_000 },
    ],
    ['waits until the last moment', { holder: 'other' }, { now: SEEN_AT + 29_999 }, 'wait'],
    ['takes the claim of a lost holder', { holder: 'other' }, { now: SEEN_AT + 30_000 }, 'take'],
    [
      'copies although a node still builds',
      { holder: 'other', nodes: ['third'] },
      {},
      { kind: 'copy', nodes: ['third'] },
    ],
    [
      'does not copy from a holder that it cannot copy from',
      { holder: 'other', nodes: ['other'] },
      { unusable: new Set(['other']) },
      'wait',
    ],
    ['copies from nodes that have it', { nodes: ['other', 'third'] }, {}, { kind: 'copy', nodes: ['other', 'third'] }],
    ['does not copy from itself', { nodes: ['me', 'third'] }, {}, { kind: 'copy', nodes: ['third'] }],
    ['builds again what it has lost', { nodes: ['me'] }, {}, 'take'],
    [
      'does not try a node again',
      { nodes: ['other', 'third'] },
      { unusable: new Set(['other']) },
      { kind: 'copy', nodes: ['third'] },
    ],
    ['builds if it can copy from none', { nodes: ['other'] }, { unusable: new Set(['other']) }, 'take'],
    ['fails as the build has failed', { failure: FAILURE }, {}, { kind: 'fail', failure: FAILURE }],
    ['tries by itself what has failed before', { failure: FAILURE }, { believes: false }, 'take'],
    ['tries again what has failed here', { failure: { ...FAILURE, node: 'me' } }, {}, 'take'],
    [
      'does not wait for a holder that builds another derivation',
      { holder: 'other', derivation: OTHER_DRV },
      {},
      'alone',
    ],
    ['does not take its own claim of another derivation', { holder: 'me', derivation: OTHER_DRV }, {}, 'alone'],
    [
      'takes the claim of a lost holder that built another derivation',
      { holder: 'other', derivation: OTHER_DRV },
      { now: SEEN_AT + 30_000 },
      'take',
    ],
    ['copies what another derivation has built', { nodes: ['other'], derivation: OTHER_DRV }, {}, 'copy'],
    ['does not believe the failure of another derivation', { failure: FAILURE, derivation: OTHER_DRV }, {}, 'take'],
    ['waits for a holder that tries again', { holder: 'other', failure: FAILURE }, {}, 'wait'],
  ])('%s', (_, lease, input, expected) => {
    expect(decideFor(lease, input)).toMatchObject(typeof expected === 'string' ? { kind: expected } : expected)
  })

  test.each<[string, Partial<ClaimLease> | undefined, Partial<DecideInput>, Decision['kind']]>([
    ['waits until somebody claims it', undefined, {}, 'wait'],
    ['waits until somebody takes a released claim', {}, {}, 'wait'],
    ['waits until somebody takes the claim of a lost holder', { holder: 'other' }, { now: SEEN_AT + 90_000 }, 'wait'],
    ['waits for a holder that builds another derivation', { holder: 'other', derivation: OTHER_DRV }, {}, 'wait'],
    ['copies from nodes that have it', { nodes: ['other'] }, {}, 'copy'],
    ['waits if it can copy from none', { nodes: ['other'] }, { unusable: new Set(['other']) }, 'wait'],
    ['fails as the build has failed', { failure: FAILURE }, {}, 'fail'],
    ['waits if it has failed like that before', { failure: FAILURE }, { believes: false }, 'wait'],
  ])('and must not build %s', (_, lease, input, kind) => {
    expect(decideFor(lease, { ...input, mayBuild: false }).kind).toBe(kind)
  })
})

function decideFor(lease: Partial<ClaimLease> | undefined, input: Partial<DecideInput>): Decision {
  const whole = {
    resourceVersion: '1',
    holder: '',
    durationMs: 30_000,
    derivation: DRV,
    progress: '',
    nodes: [],
    ...lease,
  }
  return decide({
    seen: { lease: lease && whole, seenAt: SEEN_AT },
    drvPath: DRV,
    ...{ self: 'me', now: SEEN_AT, mayBuild: true, unusable: new Set<string>(), believes: true },
    ...input,
  })
}
