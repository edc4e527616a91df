import { expect, test } from 'vitest'
import { startBed } from '../../node/bed.ts'
import { describeBuilds } from './builder-suite.ts'
import { describeInterruptions } from './interruption-suite.ts'
import { NEWER_NIX, showNewerNix, useNewerNix } from './newer-nix.ts'

test('a Nix >= 2.26 is available, also for the build user', async () => {
  await useNewerNix()
  await using bed = await startBed({ without: ['containerd', 'nix'] })
  const outputs = [
    await bed.run(await showNewerNix(bed), ['--version'], { user: bed.buildUser }),
    await bed.run('nix-daemon', ['--version']),
  ]
  for (const { stdout } of outputs) {
    const [, minor = ''] = /\(Nix\) 2\.(\d+)\./.exec(stdout) ?? []
    expect(Number(minor)).toBeGreaterThanOrEqual(26)
  }
})

// Through a daemon: conformance/versions/newer-nix.test.ts.
describeBuilds({ ...NEWER_NIX, ways: ['without a daemon'] })
describeInterruptions({ ...NEWER_NIX, ways: ['without a daemon'] })
