import { isOlder } from '../../../lib/text/versions.ts'
import { type Finding, ok, skipped, warning } from '../probes/finding.ts'

interface Flaw {
  readonly name: string
  /**
   * The first fixed version of each branch; later branches never had the flaw. Missing: no version of that kind has it.
   */
  readonly fixedIn: Readonly<Partial<Record<Kind, readonly string[]>>>
}

type Kind = 'nix' | 'Lix' | 'Determinate Nix'

/** Flaws that let builders, or users who request builds, change registered store paths. As of November 2026. */
const FLAWS: readonly Flaw[] = [
  { name: 'CVE-2024-27297', fixedIn: { nix: ['2.3.18', '2.18.2', '2.19.4', '2.20.5'] } },
  {
    // The first fixed versions of Lix lose store paths: these are the versions after them.
    name: 'CVE-2025-46415, CVE-2025-46416 and CVE-2025-52991 to 52993',
    fixedIn: { nix: ['2.24.15', '2.26.4', '2.28.4', '2.29.1'], Lix: ['2.91.3', '2.92.3', '2.93.2'] },
  },
  {
    // Introduced by the fix of the first one.
    name: 'CVE-2026-39860',
    fixedIn: {
      nix: ['2.28.6', '2.29.3', '2.30.4', '2.31.4', '2.32.7', '2.33.4', '2.34.5'],
      'Determinate Nix': ['3.17.3'],
    },
  },
  {
    name: 'CVE-2026-110450',
    fixedIn: { nix: ['2.28.8', '2.30.6', '2.31.6', '2.34.9', '2.35.3'], Lix: ['2.95.4'] },
  },
]

/**
 * Whether the Nix that builds has known flaws. `output` is that of `nix --version`. `daemon` is the daemon's version, if
 * the daemon reports it.
 */
export function judgeFlaws(output: string, daemon?: string): Finding {
  const client = /(?:^| )(\d+\.\d+\S*)$/.exec(output)?.[1]
  if (client === undefined) return skipped(`unknown version: ${output}`)
  const { kind, version } = identify(output, daemon ?? client)
  const flaws = FLAWS.filter(({ fixedIn }) => hasFlaw(version, fixedIn[kind] ?? []))
  if (flaws.length === 0) return ok(`${kind} ${version} has no known flaw that lets a build change store paths`)
  const versions = flaws.at(-1)?.fixedIn[kind] ?? []
  return warning(
    `with ${kind} ${version} a build can change registered store paths and images linked from them: ${flaws.map(({ name }) => name).join('; ')}`,
    `upgrade it to ${versions.join(', ')} or a newer branch, unless your distribution has fixed it; until then, import.layers: tar keeps images separate from the store`,
  )
}

/** Lix continues from 2.90, which Nix has not reached. */
const FIRST_LIX = '2.90'

function identify(output: string, version: string): { kind: Kind; version: string } {
  const [, determinate, upstream] = /\(Determinate Nix (\d+\.\d+\S*)\) (\S+)$/.exec(output) ?? []
  if (determinate !== undefined && version === upstream) return { kind: 'Determinate Nix', version: determinate }
  return { kind: isOlder(version, FIRST_LIX) ? 'nix' : 'Lix', version }
}

function hasFlaw(version: string, fixedIn: readonly string[]): boolean {
  const newest = fixedIn.at(-1)
  if (newest === undefined || !isOlder(version, newest)) return false
  const ofBranch = fixedIn.find(other => branchOf(other) === branchOf(version))
  return ofBranch === undefined || isOlder(version, ofBranch)
}

function branchOf(version: string): string {
  return version.split('.', 2).join('.')
}
