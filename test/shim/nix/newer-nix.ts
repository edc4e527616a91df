import { access, chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { execa } from 'execa'
import type { Bed } from '../../node/bed.ts'

/** The first Debian release with Nix >= 2.26, and the one with the newest Nix. */
type Release = 'trixie' | 'sid'

const CACHE = join(import.meta.dirname, '../../../.cache')

/**
 * Returns a folder with `bin/nix` and `bin/nix-daemon` of a newer Debian, which run beside the machine's own. The first call downloads
 * 40 MB from the configured mirror of apt.
 */
export async function installNewerNix(release: Release = 'trixie'): Promise<string> {
  const installed = join(CACHE, `nix-${release}`)
  if (!(await exists(installed))) await install(installed, release)
  return installed
}

/** The build user may not be able to enter this checkout, so the folder is also mounted below the bed's folder. */
export async function showNewerNix(bed: Bed, release?: Release): Promise<string> {
  const place = join(bed.dir, 'newer-nix')
  await mkdir(place)
  await bed.run('mount', ['--bind', await installNewerNix(release), place])
  return join(place, 'bin/nix')
}

/** A bed finds the programs of root on the PATH of the test. */
export async function useNewerNix(): Promise<void> {
  const bin = join(await installNewerNix(), 'bin')
  const { PATH = '' } = process.env
  if (!PATH.startsWith(bin)) Object.assign(process.env, { PATH: bin + delimiter + PATH })
}

/** For the suites of tests that every version of Nix must pass. */
export const NEWER_NIX = { prepare: useNewerNix, command: (bed: Bed) => showNewerNix(bed) }

async function install(target: string, release: Release): Promise<void> {
  process.stderr.write(`downloading Nix of Debian ${release} with apt-get to ${target}\n`)
  await mkdir(CACHE, { recursive: true })
  const dir = await mkdtemp(join(CACHE, 'nix-'))
  try {
    const packages = await download(join(dir, 'apt'), release)
    for (const file of packages) await execa('dpkg-deb', ['-x', file, join(dir, 'root')])
    await rm(join(dir, 'apt'), { recursive: true })
    await writeWrappers(dir)
    await chmod(dir, 0o755)
    await rename(dir, target)
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    // Another test has created it meanwhile.
    if (!(await exists(target))) throw error
  }
}

/** nix-bin and all of its dependencies, resolved with a separate package database. */
async function download(dir: string, release: Release): Promise<string[]> {
  await mkdir(join(dir, 'lists/partial'), { recursive: true })
  await mkdir(join(dir, 'cache/archives/partial'), { recursive: true })
  await writeFile(join(dir, 'status'), '')
  await writeFile(join(dir, 'sources.list'), `deb ${await findMirror()} ${release} main\n`)
  const options = {
    'Dir::State::lists': join(dir, 'lists'),
    'Dir::State::status': join(dir, 'status'),
    'Dir::Cache': join(dir, 'cache'),
    'Dir::Etc::sourcelist': join(dir, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'APT::Install-Recommends': 'false',
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled': 'false',
  }
  const flags = Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`])
  await execa('apt-get', [...flags, 'update'])
  await execa('apt-get', [...flags, '--yes', '--download-only', 'install', 'nix-bin'])
  const archives = join(dir, 'cache/archives')
  return (await readdir(archives)).filter(name => name.endsWith('.deb')).map(name => join(archives, name))
}

async function findMirror(): Promise<string> {
  const { stdout } = await execa('apt-get', ['indextargets', '--format', '$(ORIGIN) $(LABEL) $(REPO_URI)'])
  const mirror = /^Debian Debian (\S+)$/m.exec(stdout)?.[1]
  if (mirror === undefined) throw new Error('apt-get knows no mirror of Debian: run apt-get update first')
  return mirror
}

/**
 * Programs of another release need its libraries, and its loader to find them. The folder may be mounted elsewhere. NIX_BIN_DIR tells
 * Nix where to find itself.
 */
async function writeWrappers(dir: string): Promise<void> {
  const root = join(dir, 'root')
  const { stdout: loader } = await execa('find', ['usr/lib', '-name', 'ld-linux*.so.*', '-type', 'f'], { cwd: root })
  if (loader === '') throw new Error(`no loader in ${root}`)
  const write = (name: string, command: string) =>
    writeFile(
      join(dir, 'bin', name),
      `#!/bin/sh\nbin=$(cd "$(dirname "$0")" && pwd)\nroot=$bin/../root\nexport NIX_BIN_DIR="$bin"\nexec ${command}\n`,
      {
        mode: 0o755,
      },
    )
  await mkdir(join(dir, 'bin'))
  for (const name of ['nix', 'nix-daemon', 'nix-store']) {
    await write(
      name,
      `"$root/${loader}" --argv0 ${name} --library-path "$root/${dirname(loader)}" "$root/usr/bin/nix" "$@"`,
    )
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
