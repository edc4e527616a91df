import { describe, expect, it } from 'vitest'
import { judgeFlaws } from '../../../../shim/doctor/nix/nix-flaws.ts'

const ALL = ['CVE-2024-27297', 'CVE-2025-46416', 'CVE-2026-39860', 'CVE-2026-110450']

describe('flaws that let a build change store paths', () => {
  it.each<[string, string | undefined, string[], string]>([
    ['nix (Nix) 2.8.0', undefined, ALL, '2.28.8'],
    ['nix (Nix) 2.18.1', undefined, ALL, '2.28.8'],
    ['nix (Nix) 2.18.2', undefined, ALL.slice(1), '2.28.8'],
    ['nix (Nix) 2.21.0', undefined, ALL.slice(1), '2.28.8'],
    ['nix (Nix) 2.24.14', undefined, ALL.slice(1), '2.28.8'],
    ['nix (Nix) 2.24.15', undefined, ALL.slice(2), '2.28.8'],
    ['nix (Nix) 2.25.5', undefined, ALL.slice(1), '2.28.8'],
    ['nix (Nix) 2.26.3+1', undefined, ALL.slice(1), '2.28.8'],
    ['nix (Nix) 2.28.5', undefined, ALL.slice(2), '2.28.8'],
    ['nix (Nix) 2.28.7', undefined, ALL.slice(3), '2.28.8'],
    ['nix (Nix) 2.28.8', undefined, [], ''],
    ['nix (Nix) 2.29.3', undefined, ALL.slice(3), '2.30.6'],
    ['nix (Nix) 2.34.4', undefined, ALL.slice(2), '2.34.9'],
    ['nix (Nix) 2.34.9', undefined, [], ''],
    ['nix (Nix) 2.35.2', undefined, ALL.slice(3), '2.35.3'],
    ['nix (Nix) 2.36.0pre20261101_abcdef', undefined, [], ''],
    // The daemon registers store paths, so its version counts.
    ['nix (Nix) 2.36.0', '2.18.1', ALL, '2.28.8'],
    ['nix (Nix) 2.18.1', '2.36.0', [], ''],
    ['nix (Lix, like Nix) 2.90.0', undefined, [ALL[1] ?? '', ALL[3] ?? ''], '2.95.4'],
    ['nix (Lix, like Nix) 2.91.3', undefined, [ALL[3] ?? ''], '2.95.4'],
    ['nix (Lix, like Nix) 2.93.1', '2.93.1', [ALL[1] ?? '', ALL[3] ?? ''], '2.95.4'],
    ['nix (Lix, like Nix) 2.95.4', undefined, [], ''],
    ['nix (Determinate Nix 3.17.2) 2.33.3', '2.33.3', [ALL[2] ?? ''], '3.17.3'],
    ['nix (Determinate Nix 3.17.3) 2.33.3', '2.33.3', [], ''],
  ])('%s, daemon %s: %j', (words, daemon, names, fixedIn) => {
    const finding = judgeFlaws(words, daemon)
    expect(finding.outcome).toBe(names.length > 0 ? 'warning' : 'ok')
    expect(ALL.filter(name => finding.text.includes(name))).toEqual(names)
    if ('wayOut' in finding) expect(finding.wayOut).toContain(fixedIn)
  })

  it('are not reported for an unknown version', () => {
    expect(judgeFlaws('nix of somebody').outcome).toBe('skipped')
  })
})
