import { chmod, copyFile, cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { BUSYBOX } from '../../node/programs.ts'

/** A copy of a flake, by default of test/shim/nix/flakes/packages, that every user can read. */
export interface TestFlake {
  readonly url: string
  readonly dir: string
  /** A named pipe: waiting builders end when something is written to it. */
  readonly gate: string
}

const SOURCE = join(import.meta.dirname, 'flakes/packages')

export async function makeFlake(parent: string, source = SOURCE): Promise<TestFlake> {
  const dir = join(parent, 'flake')
  const gate = join(parent, 'gate')
  await cp(source, dir, { recursive: true })
  await mkdir(join(dir, 'bin'))
  await copyFile(BUSYBOX, join(dir, 'bin/busybox'))
  await chmod(join(dir, 'bin/busybox'), 0o755)
  await writeFile(join(dir, 'gate'), gate)
  await execa('mkfifo', ['--mode=666', gate])
  return { url: `path:${dir}`, dir, gate }
}
