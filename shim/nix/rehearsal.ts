import type { BuildJob } from './build-job.ts'

/** No file can be below it. */
const NOWHERE = '/dev/null'

/** A job that leaves nothing behind: a program that does nothing is its nix, and the answer that it does not give is its failure. */
export const REHEARSAL: BuildJob = {
  recipe: {
    image: 'rehearsal',
    flake: { url: 'path:/dev/null', scheme: 'path', source: 'path:/dev/null', local: false, locked: false },
    packageName: 'rehearsal',
    system: 'rehearsal',
  },
  namespaces: ['rehearsal'],
  dir: {
    root: NOWHERE,
    gcroots: NOWHERE,
    home: NOWHERE,
    config: NOWHERE,
    caches: NOWHERE,
    logs: NOWHERE,
    results: NOWHERE,
  },
  user: { home: '/', env: { PATH: '/run/current-system/sw/bin:/usr/bin:/bin' } },
  nix: { command: 'true', timeoutMs: 60_000, maxEvalMemory: 0, options: {}, leadingDot: true },
  logLevel: 'silent',
}
