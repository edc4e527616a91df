import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The tests start shims and their helpers hundreds of times from their sources.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, '.cache/compiled') },
    globalSetup: ['test/cluster/shared-control-plane.ts'],
    // Processes, not threads: a bed that one file leaves behind ends with the file's process.
    pool: 'forks',
    // One more than the processors of a small machine: tests wait for daemons most of the time.
    maxWorkers: 3,
    // Real daemons on a small, busy machine; everything that waits has a limit of its own below these.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
})
