import { join } from 'node:path'
import type { PackageHints } from '../../../../recipes/built-package.ts'
import { isWhiteout, type StoreImage } from '../../image/store-image.ts'
import { type ByteString, bytesOf } from '../../store/byte-string.ts'
import type { Closure, ClosureFile } from '../../store/closure.ts'
import { isProgram, listPrograms } from '../../store/store-file.ts'
import { type LinkEntry, makeClosureImage, makeLinksLayer, packageRefusal, TMP } from './closure-image.ts'

interface PackageSet {
  /** Store path of the folder that unites its packages. */
  readonly union: string
  /** Of that store path. */
  readonly closure: Closure
  readonly hints: PackageHints
}

/** Folders of the union that programs expect at the root. */
const UNITED = ['bin', 'etc', 'lib', 'share']
const CERTIFICATES = 'etc/ssl/certs/ca-bundle.crt'
const SHELLS = ['bash', 'sh']
/** In all folders together, as each is kept in memory. */
const MAX_LINKS = 10_000

/**
 * Makes the image of a package set, as Nixery does: its closure, folders at the root with links to the packages' files, and a
 * config that runs a shell, or the program of a set that has only one. Throws NotAnImage for too many files, and
 * ImportInterrupted.
 */
export async function makePackageSetImage({ union, closure, hints }: PackageSet): Promise<StoreImage> {
  const links = makeLinksLayer(await listLinks(union, closure))
  const cmd = await findProgram(union, closure, hints)
  await using certificates = await closure.find(join(union, CERTIFICATES))
  const config = {
    ...(cmd !== undefined && { Cmd: [`/bin/${cmd}`] }),
    Env: ['PATH=/bin', ...(certificates ? [`SSL_CERT_FILE=/${CERTIFICATES}`] : [])],
  }
  return makeClosureImage({ infos: closure.infos.values(), storePath: union, links, config })
}

/** Folders are not links to the store, since the runtime mounts files such as /etc/hosts into them. */
async function listLinks(union: string, closure: Closure): Promise<LinkEntry[]> {
  const entries: LinkEntry[] = []
  let room = MAX_LINKS
  for (const folder of UNITED) {
    await using found = await closure.find(join(union, folder))
    if (!found?.stats.isDirectory()) continue
    const names = await takeNames(found, room)
    room -= names.length
    // In a tar, a whiteout deletes another file.
    const inFolder = names.filter(name => !isWhiteout(name)).map(name => `${folder}/${name}`)
    entries.push({ name: folder, mode: FOLDER_MODE })
    for (const name of inFolder) if (!MOUNTED.has(name)) entries.push({ name, linkName: `${bytesOf(union)}/${name}` })
    if (inFolder.includes('bin/env')) entries.push(...USR_BIN_ENV)
  }
  return [...entries, TMP]
}

async function takeNames(folder: ClosureFile, most: number): Promise<ByteString[]> {
  const names: ByteString[] = []
  for await (const name of folder.names()) {
    if (names.length === most)
      throw packageRefusal(`its packages have more than ${MAX_LINKS} files in ${UNITED.join(', ')}`)
    names.push(name)
  }
  return names.sort()
}

/** The runtime mounts its own files there. A mount on a link would cover a file of the store. */
const MOUNTED = new Set(['etc/hosts', 'etc/hostname', 'etc/resolv.conf'])

const FOLDER_MODE = 0o755

/** Scripts expect it there. */
const USR_BIN_ENV: readonly LinkEntry[] = [
  { name: 'usr', mode: FOLDER_MODE },
  { name: 'usr/bin', mode: FOLDER_MODE },
  { name: 'usr/bin/env', linkName: '/bin/env' },
]

/** Finds the program's name in /bin; undefined if there are several that are not shells. */
async function findProgram(
  union: string,
  closure: Closure,
  { mainProgram }: PackageHints,
): Promise<string | undefined> {
  const preferred = [...SHELLS, ...(mainProgram !== undefined && !mainProgram.includes('/') ? [mainProgram] : [])]
  for (const name of preferred) if (await isProgram(join(union, 'bin', name), closure)) return name
  const [only, ...others] = await listPrograms(union, closure)
  return others.length === 0 ? only : undefined
}
