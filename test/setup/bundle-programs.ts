import { chmod, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'

const TOP = join(import.meta.dirname, '../..')
const CACHE = join(TOP, '.cache')

/** The bundles of `npm run build`, and what is beside them: a program of the tests finds the helpers there. */
const BUNDLES = [
  ['shim', 'shim', []],
  ['helpers', 'shim', ['test/shim/nix/builder-host.ts']],
  ['controller', 'controller', []],
  ['kubectl', 'kubectl', []],
] as const

/** Vitest's global set-up. Tests start the programs hundreds of times, and a bundle starts three times as fast as the sources. */
export default async function setup(): Promise<() => Promise<void>> {
  await mkdir(CACHE, { recursive: true })
  const dir = await mkdtemp(join(CACHE, 'programs-'))
  await chmod(dir, 0o755)
  // The shim looks for it in the folders above, as in the package; Node reads there that the bundles are modules.
  for (const name of ['package.json', 'protos']) await symlink(join(TOP, name), join(dir, name))
  for (const [bundle, folder, more] of BUNDLES) {
    const args = [`--outdir=${join(dir, folder)}`, ...more]
    await execa('npm', ['run', '--silent', `bundle:${bundle}`, '--', ...args], { cwd: TOP })
  }
  process.env.ENBI_BUNDLED_PROGRAMS = dir
  return () => rm(dir, { recursive: true })
}
