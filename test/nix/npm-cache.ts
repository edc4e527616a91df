import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import * as v from 'valibot'

const TOP = join(import.meta.dirname, '../..')

const LockFile = v.object({
  packages: v.record(
    v.string(),
    v.object({
      integrity: v.optional(v.string()),
      ...v.entriesFromList(['dev', 'optional', 'devOptional'], v.optional(v.boolean(), false)),
    }),
  ),
})

/**
 * The files of npm's cache with the tarballs of the programs' packages, keyed by their hashes in the lock file. Fetches
 * missing tarballs, for which it creates the folder `dir`.
 */
export async function findTarballs(dir: string): Promise<Record<string, string>> {
  const { stdout: cache } = await execa('npm', ['config', 'get', 'cache'])
  const tarballs = (await readHashes()).map(hash => [hash, pathInCache(cache, hash)] as const)
  if (!tarballs.every(([, path]) => existsSync(path))) await installPackages(dir)
  return Object.fromEntries(tarballs)
}

/** Installs the programs' packages with npm below a new folder and returns it. */
export async function installPackages(dir: string): Promise<string> {
  await mkdir(dir)
  for (const name of ['package.json', 'package-lock.json', '.npmrc']) await copyFile(join(TOP, name), join(dir, name))
  await execa(
    'npm',
    ['ci', '--prefer-offline', '--omit=dev', '--omit=optional', '--ignore-scripts', '--no-bin-links'],
    { cwd: dir },
  )
  return dir
}

async function readHashes(): Promise<string[]> {
  const { packages } = v.parse(LockFile, JSON.parse(await readFile(join(TOP, 'package-lock.json'), 'utf8')))
  return Object.values(packages).flatMap(({ integrity = [], dev, optional, devOptional }) => {
    return dev || optional || devOptional ? [] : integrity
  })
}

function pathInCache(cache: string, hash: string): string {
  const hex = Buffer.from(hash.replace('sha512-', ''), 'base64').toString('hex')
  return join(cache, '_cacache/content-v2/sha512', hex.slice(0, 2), hex.slice(2, 4), hex.slice(4))
}
