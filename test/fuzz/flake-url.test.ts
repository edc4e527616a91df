import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FlakeUrl, parseFlakeUrl } from '../../recipes/flake-url.ts'
import { checkNixKnows } from '../../shim/nix/evaluate/flake-address.ts'
import { type Bed, startBed } from '../node/bed.ts'
import { installNewerNix } from '../shim/nix/newer-nix.ts'
import { type Attributes, askByFunction, askByRegistry } from './ask-nix.ts'
import { flakeUrl } from './flake-urls.ts'
import { runs, SEED } from './runs.ts'

const LIMIT_MS = runs(60_000)

let bed: Bed
beforeAll(async () => {
  bed = await startBed({ without: ['containerd', 'nix'] })
}, 120_000)
afterAll(async () => bed?.[Symbol.asyncDispose]())

test('the canonical form of a flake URL is parsed as the same flake URL', () => {
  for (const flake of accepted(runs(1_000))) expect(parseFlakeUrl(flake.url)).toEqual(flake)
})

describe('a flake URL that the shim accepts names the source that the policy has checked', () => {
  test.each([
    { version: '2.8', showNix: async () => 'nix', ask: askByRegistry, count: runs(40) },
    { version: '2.26', showNix: showNewerNix, ask: askByFunction, count: runs(1_000) },
  ])('for Nix $version, if it accepts the URL', { timeout: LIMIT_MS }, async ({ version, showNix, ask, count }) => {
    const flakes = accepted(count).filter(flake => isFor(flake, version))
    const urls = flakes.map(({ url }) => url)
    const answers = await ask(bed, await showNix(bed), urls)
    expect(answers.size).toBeGreaterThan(flakes.length / 2)
    for (const [index, flake] of flakes.entries()) {
      const attributes = answers.get(index)
      if (attributes) expect(asUnderstood(attributes), flake.url).toEqual(asAccepted(flake, attributes))
    }
  })
})

/** Whether the shim gives the URL to that version. */
function isFor(flake: FlakeUrl, version: string): boolean {
  try {
    checkNixKnows(flake, version)
    return true
  } catch {
    return false
  }
}

/** That many different URLs. */
function accepted(count: number): FlakeUrl[] {
  const flakes = new Map<string, FlakeUrl>()
  for (const text of fc.sample(flakeUrl, { seed: SEED, numRuns: 20 * count })) {
    for (const flake of accept(text)) flakes.set(flake.url, flake)
    if (flakes.size === count) break
  }
  return [...flakes.values()]
}

function accept(text: string): FlakeUrl[] {
  try {
    return [parseFlakeUrl(text)]
  } catch {
    return []
  }
}

interface Understanding {
  readonly source: string
  readonly locked: boolean
  readonly narHash: string | undefined
  readonly rev: string | undefined
  readonly ref: string | undefined
}

function asAccepted({ source, locked, content, url }: FlakeUrl, { rev, ref }: Attributes): Understanding {
  const has = (part: string | undefined) => (part !== undefined && url.includes(part) ? part : undefined)
  return { source: decode(source), locked, narHash: content?.narHash, rev: has(rev), ref: has(ref) }
}

function asUnderstood(attributes: Attributes): Understanding {
  const { narHash, rev, ref, type } = attributes
  const locked = (isByHash(type) ? narHash : rev) !== undefined
  return { source: decode(sourceOf(attributes)), locked, narHash, rev, ref }
}

function isByHash(type: string): boolean {
  return type === 'tarball' || type === 'path'
}

function sourceOf({ type, owner, repo, host, id, url = '', path }: Attributes): string {
  const [place = '', query = ''] = url.split('?')
  // Nix 2.8 keeps unknown parts in a URL and ignores them when it fetches.
  const others = query.split('&').filter(pair => !/^(?:dir|narHash|allRefs)=/.test(pair))
  switch (type) {
    case 'git':
    case 'tarball':
      return `${type}+${place}${others.join('&')}`
    case 'path':
      return `path:${path}`
    case 'indirect':
      return `flake:${id}`
    default:
      return host === undefined ? `${type}:${owner}/${repo}` : `${type}+https://${host}/${owner}/${repo}`
  }
}

/** Decodes escapes to one character for each byte, because versions of Nix differ in the case of hex digits. */
function decode(url: string): string {
  const bytes = Buffer.from(url).toString('latin1')
  return bytes.replace(/%(..)/g, (_code, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** A bed sees only its own /usr. */
async function showNewerNix({ dir, run }: Bed): Promise<string> {
  const place = join(dir, 'newer-nix')
  await mkdir(place)
  await run('mount', ['--bind', await installNewerNix(), place])
  return join(place, 'bin/nix')
}
