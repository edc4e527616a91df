import { cp, realpath, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { execa } from 'execa'
import { hostPlatform } from '../../shim/import/image/config.ts'
import type { Bed } from '../node/bed.ts'
import { TARFILE_LAYER } from '../shim/import/tar/tarfile-layer.ts'
import { findTarballs } from './npm-cache.ts'

const TOP = join(import.meta.dirname, '../..')
const NIXPKGS = join(import.meta.dirname, 'nixpkgs')
/** Files that a checkout lacks or that are not part of the flake. */
const LEFT_OUT = ['.git', '.cache', 'node_modules', 'dist', 'bench', 'conformance']

export interface OwnFlake {
  readonly dir: string
  readonly url: string
}

/**
 * A copy of the project's flake for a node that builds without a sandbox. It is locked to test/nix/nixpkgs instead of
 * nixpkgs.
 */
export async function writeOwnFlake(bed: Pick<Bed, 'dir' | 'run'>): Promise<OwnFlake> {
  const nixpkgs = join(bed.dir, 'nixpkgs')
  await cp(NIXPKGS, nixpkgs, { recursive: true })
  await cp(TARFILE_LAYER, join(nixpkgs, 'stream.py'))
  await writeFile(join(nixpkgs, 'settings.json'), JSON.stringify(await findParts(join(bed.dir, 'npm'))))
  const dir = join(bed.dir, 'enbi-shim')
  await cp(TOP, dir, { recursive: true, filter: path => !LEFT_OUT.includes(relative(TOP, path)) })
  await bed.run('chmod', ['-R', 'a+rX', nixpkgs, dir]) // for the unprivileged build user, whatever this checkout is like
  await bed.run('nix', ['flake', 'lock', dir, '--override-input', 'nixpkgs', `path:${nixpkgs}`])
  return { dir, url: `path:${dir}` }
}

async function findParts(dir: string) {
  const [tarballs, npm] = await Promise.all([findTarballs(dir), findNpm()])
  return {
    architecture: hostPlatform().architecture,
    node: { path: process.execPath, version: process.versions.node },
    esbuild: join(TOP, 'node_modules/.bin/esbuild'),
    npm,
    tarballs,
  }
}

async function findNpm(): Promise<string> {
  const { stdout } = await execa('sh', ['-c', 'command -v npm'])
  return realpath(stdout)
}
