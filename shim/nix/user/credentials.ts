import { lstat, readdir, readlink, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import type { Logger } from 'pino'
import { lazy } from '../../../lib/async/lazy.ts'
import { createOneByOne } from '../../../lib/async/one-by-one.ts'
import { messageOf } from '../../../lib/errors.ts'
import { UNFINISHED } from '../../../lib/files/atomic-file.ts'
import { makeOwnFolder } from '../../../lib/files/own-files.ts'
import type { BuildUser } from './build-user.ts'
import { resolveBuildUser } from './build-user.ts'
import { findAccess, readCredential, writeCopy } from './credential-copy.ts'
import { credentialsFolder, foldersOf, guardState, prepareStateDir, type StateDir } from './state-dir.ts'

const KINDS = ['netrc', 'nixConf', 'sshKey', 'knownHosts'] as const
type Kind = (typeof KINDS)[number]

/** Paths of files that administrators keep elsewhere, for instance with a secret manager. */
export type CredentialFiles = { readonly [Each in Kind]?: string | undefined }

export interface Credentials {
  /**
   * Makes git, ssh and nix use the current contents of the files, and removes credentials that are no longer configured. A file that
   * cannot be read is logged as an error and left out. Throws StateDirUnsafe, StateDirNotWritable or DiskFull.
   */
  place(): Promise<void>
}

export interface CredentialsOptions {
  readonly dir: StateDir
  readonly user: Pick<BuildUser, 'uid' | 'gid'>
  /** `null`: the user of the shim. */
  readonly userName: string | null
  readonly files: CredentialFiles
  readonly logger: Pick<Logger, 'error' | 'info'>
}

/**
 * Copies the files into a separate folder, and creates symlinks to the copies where programs look for them. The symlinks mark what the
 * shim placed: files that administrators put there by hand are kept.
 */
export function createCredentials({ dir, user, userName, files, logger }: CredentialsOptions): Credentials {
  const folder = credentialsFolder(dir.root)
  const reported = new Map<Kind, string>()
  const askAccess = lazy(() => findAccess(user, userName))
  const read = async (kind: Kind, path: string) => {
    try {
      if (isBelow(dir.root, path)) throw new Error(`${path} is in the state folder, where the shim keeps its copies`)
      const bytes = await readCredential(path)
      if (kind === 'nixConf') checkNixConf(bytes)
      reported.delete(kind)
      return bytes
    } catch (error) {
      const reason = messageOf(error)
      if (reported.get(kind) !== reason)
        logger.error({ credential: kind, path, reason }, 'a credential cannot be read: builds run without it')
      reported.set(kind, reason)
      return undefined
    }
  }
  const place = async () => {
    if (!(await isInUse(dir, files))) return
    await makeOwnFolder(folder, { mode: 0o750, gid: user.gid })
    await removeUnfinished(folder)
    const access = await askAccess()
    for (const kind of KINDS) {
      const [copy, link, path] = [join(folder, kind), LINKS[kind](dir), files[kind]]
      const bytes = path === undefined ? undefined : await read(kind, path)
      if (bytes === undefined) {
        if (await remove(copy, link)) logger.info({ credential: kind }, 'credential removed')
      } else {
        const isNew = await writeCopy(copy, bytes, access)
        if ((await makeLink(link, copy)) || isNew) logger.info({ credential: kind, path }, 'credential placed')
      }
    }
  }
  return { place: () => inTurn(() => guardState(dir.root, place)) }
}

/** Shared: the start of the shim and its builds use the same folder. */
const inTurn = createOneByOne()

export interface PlaceOptions {
  readonly stateDir: string
  readonly nix: { readonly user: string | null; readonly credentials: CredentialFiles }
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly logger: Logger
}

/**
 * Places credentials at the start, so that missing ones are logged and those that are no longer configured are removed before the first
 * build. Never rejects: each build tries again and reports its own failure.
 */
export async function placeAtStart({ stateDir, nix, env, logger }: PlaceOptions): Promise<void> {
  const dir = foldersOf(stateDir)
  const { user: userName, credentials: files } = nix
  try {
    if (!(await isInUse(dir, files))) return
    const user = await resolveBuildUser({ name: userName, home: dir.home, configHome: dir.config, env })
    await prepareStateDir(dir, user, logger)
    await createCredentials({ dir, user, userName, files, logger }).place()
  } catch (err) {
    logger.error({ err }, 'credentials cannot be placed: nothing is built until they can')
  }
}

/** Whether there are credentials to place or to remove. */
async function isInUse(dir: StateDir, files: CredentialFiles): Promise<boolean> {
  return KINDS.some(kind => files[kind] !== undefined) || (await isThere(credentialsFolder(dir.root)))
}

/** Where programs look for the files. */
const LINKS: Readonly<Record<Kind, (dir: StateDir) => string>> = {
  netrc: ({ home }) => join(home, '.netrc'),
  nixConf: ({ config }) => join(config, 'nix/nix.conf'),
  sshKey: ({ home }) => join(home, '.ssh/id_ed25519'),
  knownHosts: ({ home }) => join(home, '.ssh/known_hosts'),
}

async function removeUnfinished(folder: string): Promise<void> {
  const names = await readdir(folder)
  for (const name of names.filter(name => name.endsWith(UNFINISHED))) await rm(join(folder, name))
}

/** Replaces a file that was put there by hand, since the config names another one. Returns whether the link is new. */
async function makeLink(link: string, copy: string): Promise<boolean> {
  await makeOwnFolder(dirname(link), { mode: 0o755 })
  if (await leadsTo(link, copy)) return false
  const unfinished = link + UNFINISHED
  await rm(unfinished, { force: true })
  await symlink(target(link, copy), unfinished)
  await rename(unfinished, link)
  return true
}

/** Returns whether there was a copy. */
async function remove(copy: string, link: string): Promise<boolean> {
  if (await leadsTo(link, copy)) await rm(link)
  if (!(await isThere(copy))) return false
  await rm(copy)
  return true
}

async function leadsTo(link: string, copy: string): Promise<boolean> {
  return readlink(link).then(
    text => text === target(link, copy),
    () => false,
  )
}

/** Relative, so that the state folder can be moved. */
function target(link: string, copy: string): string {
  return relative(dirname(link), copy)
}

function isBelow(folder: string, path: string): boolean {
  return resolve(path).startsWith(`${resolve(folder)}/`)
}

/** Nix quotes an invalid line, so that every failed pull would show it. */
function checkNixConf(bytes: Buffer): void {
  const lines = bytes.toString('utf8').split('\n')
  const wrong = lines.findIndex(line => !NIX_CONF_LINE.test(line.replace(/#.*$/, '').trim()))
  if (wrong >= 0) throw new Error(`line ${wrong + 1} is neither NAME = VALUE nor include PATH`)
}

const NIX_CONF_LINE = /^(?:$|!?include\s+\S+$|[a-z][a-z0-9-]*\s+=(?:\s|$))/

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}
