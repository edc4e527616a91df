import { delimiter, join } from 'node:path'
import { expect, test } from 'vitest'
import { startBed } from '../../node/bed.ts'
import { describeBuilds } from './builder-suite.ts'
import { describeInterruptions } from './interruption-suite.ts'
import { installNewerNix, showNewerNix } from './newer-nix.ts'
import { describeSharedBuilds } from './shared-build-suite.ts'

/** A bed finds the programs of root on the PATH of the test. */
async function useNewerNix(): Promise<void> {
  const bin = join(await installNewerNix(), 'bin')
  const { PATH = '' } = process.env
  if (!PATH.startsWith(bin)) Object.assign(process.env, { PATH: bin + delimiter + PATH })
}

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

const newerNix = { prepare: useNewerNix, command: showNewerNix, withoutDaemon: true }

describeBuilds(newerNix)
describeInterruptions(newerNix)
describeSharedBuilds({ ...newerNix, onlyNix: true })
