import { chmod, copyFile, cp, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BUSYBOX } from './programs.ts'

/** A copy of an example and its static busybox. Every user can read it. */
export interface Example {
  readonly dir: string
  /** Flake URL of the copy. */
  readonly url: string
}

const EXAMPLES = join(import.meta.dirname, '../../examples')

/** Copies `examples/NAME` into a new folder below `parent`. */
export async function copyExample(name: string, parent: string): Promise<Example> {
  const dir = await mkdtemp(join(parent, `${name}-`))
  await cp(join(EXAMPLES, name), dir, { recursive: true })
  await copyFile(BUSYBOX, join(dir, 'busybox'))
  await chmod(join(dir, 'busybox'), 0o755)
  await chmod(dir, 0o755)
  return { dir, url: `path:${dir}` }
}

/** Makes the example's package `gated` wait until a file exists at the returned path. */
export async function addGate(example: Example): Promise<string> {
  const gate = `${example.dir}.open`
  await writeFile(join(example.dir, 'gate'), gate)
  return gate
}

/** Adds the hash of the folder's content to the flake URL, so that it only matches the current content. */
export async function lockExample(example: Example, nix: RunNix): Promise<Example> {
  const { stdout } = await nix('nix', ['hash', 'path', '--type', 'sha256', '--sri', example.dir])
  return { ...example, url: `${example.url}?narHash=${encodeURIComponent(stdout.trim())}` }
}

type RunNix = (command: string, args: string[]) => Promise<{ stdout: string }>
