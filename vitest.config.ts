import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { SlowFirst } from './test/lanes/slow-first.ts'
import { findUnitFiles } from './test/lanes/unit-files.ts'

const unitFiles = findUnitFiles(import.meta.dirname)
const spegelFiles = 'test/spegel/*.test.ts'
const { SPEGEL, ENBI_VERSIONS } = process.env

export default defineConfig({
  test: {
    // The tests start shims and their helpers hundreds of times from their sources.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, '.cache/compiled') },
    // Processes, not threads: a bed that one file leaves behind ends with the file's process.
    pool: 'forks',
    // More than the processors of a small machine: tests wait for daemons most of the time.
    maxWorkers: 5,
    sequence: { sequencer: SlowFirst },
    // Real daemons on a small machine, which may be busy: these only end what hangs (test/patience.ts).
    testTimeout: 600_000,
    hookTimeout: 600_000,
    teardownTimeout: 120_000,
    projects: [
      {
        extends: true,
        // They start nothing and end what they begin, so they share processes, and with them the modules.
        test: { name: 'unit', include: unitFiles, isolate: false, setupFiles: ['test/lanes/no-privileges.ts'] },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          exclude: [...unitFiles, spegelFiles],
          globalSetup: ['test/setup/bundle-programs.ts', 'test/cluster/shared-control-plane.ts'],
        },
      },
      // Only `npm run test:spegel` sets it: the program cannot be built where these tests usually run.
      ...(SPEGEL
        ? [
            {
              extends: true as const,
              test: { name: 'spegel', include: [spegelFiles], globalSetup: ['test/setup/bundle-programs.ts'] },
            },
          ]
        : []),
      // Only `npm run conformance -- versions` sets it: the tests of builds once more, with another version of Nix.
      ...(ENBI_VERSIONS
        ? [
            {
              extends: true as const,
              test: {
                name: 'versions',
                include: ['conformance/versions/*.test.ts'],
                globalSetup: ['test/setup/bundle-programs.ts'],
              },
            },
          ]
        : []),
    ],
  },
})
