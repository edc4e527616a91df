import { join } from 'node:path'
import type { Closure } from '../closure.ts'
import type { PackageSetHints } from '../contract.ts'
import { type LinkEntry, makeLinksLayer, TMP } from './links-layer.ts'
import type { NativeImage } from './native-image.ts'
import { isProgram, listPrograms } from './package-files.ts'
import { packageRefusal } from './package-refusal.ts'
import { makeStoreImage } from './store-image.ts'

interface PackageSet {
  /** Store path of the folder in which its packages are united. */
  readonly union: string
  /** That, and all that it refers to. */
  readonly closure: Closure
  readonly hints: PackageSetHints
}

/** Folders of the union that programs look for at the root. */
const UNITED = ['bin', 'etc', 'lib', 'share']
const CERTIFICATES = 'etc/ssl/certs/ca-bundle.crt'
const SHELLS = ['bash', 'sh']
/** Of all folders together: each is held in memory. */
const MAX_LINKS = 50_000

/**
 * The image of a package set: its closure, folders at the root with links to what the packages have there, and a config that runs
 * a shell, or the program of a set that has just one. Source of what is in it: Nixery. Throws NotAnImage for too many files, and
 * ImportInterrupted.
 */
export async function makePackageSetImage({ union, closure, hints }: PackageSet): Promise<NativeImage> {
  const links = await makeLinksLayer(await listLinks(union, closure))
  const cmd = await findProgram(union, closure, hints)
  await using certificates = await closure.find(join(union, CERTIFICATES))
  const config = {
    ...(cmd !== undefined && { Cmd: [`/bin/${cmd}`] }),
    Env: ['PATH=/bin', ...(certificates ? [`SSL_CERT_FILE=/${CERTIFICATES}`] : [])],
  }
  return makeStoreImage({ infos: closure.infos.values(), storePath: union, links, config })
}

/** A folder is none of the store's: the runtime mounts files such as /etc/hosts into it. */
async function listLinks(union: string, closure: Closure): Promise<LinkEntry[]> {
  const entries: LinkEntry[] = []
  for (const folder of UNITED) {
    await using found = await closure.find(join(union, folder))
    if (!found?.stats.isDirectory()) continue
    const names = (await found.list()).sort()
    if (entries.length + names.length > MAX_LINKS)
      throw packageRefusal(`its packages have more than ${MAX_LINKS} files in ${UNITED.join(', ')}`)
    entries.push({ name: folder, mode: FOLDER_MODE })
    for (const name of names) entries.push({ name: `${folder}/${name}`, linkname: join(union, folder, name) })
    if (folder === 'bin' && names.includes('env')) entries.push(...USR_BIN_ENV)
  }
  return [...entries, TMP]
}

const FOLDER_MODE = 0o755

/** Where scripts look for it. */
const USR_BIN_ENV: readonly LinkEntry[] = [
  { name: 'usr', mode: FOLDER_MODE },
  { name: 'usr/bin', mode: FOLDER_MODE },
  { name: 'usr/bin/env', linkname: '/bin/env' },
]

/** Its name in /bin; undefined when none is to be preferred. */
async function findProgram(
  union: string,
  closure: Closure,
  { mainProgram }: PackageSetHints,
): Promise<string | undefined> {
  const preferred = [...SHELLS, ...(mainProgram !== undefined && !mainProgram.includes('/') ? [mainProgram] : [])]
  for (const name of preferred) if (await isProgram(join(union, 'bin', name), closure)) return name
  const [only, ...others] = await listPrograms(union, closure)
  return others.length === 0 ? only : undefined
}
