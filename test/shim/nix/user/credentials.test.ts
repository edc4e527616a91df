import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type CredentialFiles, createCredentials } from '../../../../shim/nix/user/credentials.ts'
import { foldersOf, prepareStateDir } from '../../../../shim/nix/user/state-dir.ts'
import { findUser, type User } from '../../../node/user.ts'

/** A user whose group has the same name. */
let games: User
/** A user whose group is shared, `nogroup`. */
let nobody: User
beforeAll(async () => {
  ;[games, nobody] = await Promise.all([findUser('games'), findUser('nobody')])
})

interface Node {
  readonly state: string
  readonly secrets: string
  /** Log lines of each `place`. */
  readonly log: string[]
  /** Like a restarted shim with another config. */
  place(files: CredentialFiles): Promise<void>
}

async function makeNode(user = games): Promise<Node> {
  const path = await mkdtemp(join(tmpdir(), 'enbi-credentials-'))
  onTestFinished(() => rm(path, { recursive: true }))
  const [state, secrets] = [join(path, 'state'), join(path, 'secrets')]
  await mkdir(secrets)
  const dir = foldersOf(state)
  await prepareStateDir(dir, user)
  const log: string[] = []
  const note = (fields: unknown, message?: string) => void log.push(`${message} ${JSON.stringify(fields)}`)
  const logger = { error: note, info: note }
  return {
    state,
    secrets,
    log,
    place: files => createCredentials({ dir, user, userName: user.name, files, logger }).place(),
  }
}

async function writeSecrets({ secrets }: Node): Promise<Record<keyof CredentialFiles, string>> {
  const at = async (name: string) => {
    const path = join(secrets, name)
    await writeFile(path, `${name} =\n`, { mode: 0o600 })
    return path
  }
  return { netrc: await at('a'), nixConf: await at('b'), sshKey: await at('c'), knownHosts: await at('d') }
}

const PLACES = [
  'build-home/.netrc',
  'build-config/nix/nix.conf',
  'build-home/.ssh/id_ed25519',
  'build-home/.ssh/known_hosts',
]

async function contents({ state }: Node): Promise<(string | undefined)[]> {
  return Promise.all(PLACES.map(place => readFile(join(state, place), 'utf8').catch(() => undefined)))
}

test('credentials are copied to where git, ssh and nix look, and again after each change', async () => {
  const node = await makeNode()
  const files = await writeSecrets(node)
  await node.place(files)
  expect(await contents(node)).toEqual(['a =\n', 'b =\n', 'c =\n', 'd =\n'])
  await writeFile(files.netrc, 'new\n')
  await node.place(files)
  expect(await contents(node)).toEqual(['new\n', 'b =\n', 'c =\n', 'd =\n'])
  expect(node.log).toHaveLength(5)
  expect(node.log.join()).not.toContain('new')
})

describe('a copy of a credential', () => {
  test('belongs to root and is readable for the group of the build user', async () => {
    const node = await makeNode()
    await node.place(await writeSecrets(node))
    for (const place of PLACES) {
      const { uid, gid, mode } = await stat(join(node.state, place))
      expect({ uid, gid, mode: mode & 0o777 }, place).toEqual({ uid: 0, gid: games.gid, mode: 0o440 })
    }
    expect((await stat(join(node.state, 'build-credentials'))).mode & 0o777).toBe(0o750)
  })

  test('belongs to the build user if others may be in its group', async () => {
    const node = await makeNode(nobody)
    await node.place(await writeSecrets(node))
    const { uid, gid, mode } = await stat(join(node.state, 'build-home/.netrc'))
    expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: nobody.uid, gid: 0, mode: 0o400 })
  })

  test('is restored after a program of the build user has changed it', async () => {
    const node = await makeNode(nobody)
    const files = await writeSecrets(node)
    await node.place(files)
    const copy = join(node.state, 'build-credentials/nixConf')
    await chmod(copy, 0o600)
    await writeFile(copy, 'plugin-files = /tmp/x.so\n')
    await node.place(files)
    expect(await contents(node)).toContain('b =\n')
    expect((await stat(copy)).mode & 0o777).toBe(0o400)
  })
})

describe('a credential that the config no longer names', () => {
  test('is removed', async () => {
    const node = await makeNode()
    const files = await writeSecrets(node)
    await node.place(files)
    await node.place({ knownHosts: files.knownHosts })
    expect(await contents(node)).toEqual([undefined, undefined, undefined, 'd =\n'])
    expect(await readdir(join(node.state, 'build-credentials'))).toEqual(['knownHosts'])
    expect(await readdir(join(node.state, 'build-home'))).toEqual(['.ssh'])
  })

  test('leaves a file that was put there by hand', async () => {
    const node = await makeNode()
    const netrc = join(node.state, 'build-home/.netrc')
    await writeFile(netrc, 'by hand\n')
    await node.place({})
    expect(await contents(node)).toEqual(['by hand\n', undefined, undefined, undefined])
    expect(await readdir(node.state)).not.toContain('build-credentials')
    const files = await writeSecrets(node)
    await node.place(files)
    await rm(netrc)
    await writeFile(netrc, 'by hand\n')
    await node.place({})
    expect(await contents(node)).toEqual(['by hand\n', undefined, undefined, undefined])
  })
})

test('a credential that cannot be read is reported once and left out until it can be read', async () => {
  const node = await makeNode()
  const files = await writeSecrets(node)
  await node.place(files)
  node.log.length = 0
  const credentials = () => node.place({ ...files, netrc: node.secrets })
  await credentials()
  expect(node.log).toEqual([
    expect.stringMatching(/^a credential cannot be read: builds run without it .*secrets is not a file/),
    'credential removed {"credential":"netrc"}',
  ])
  await rm(files.sshKey)
  await node.place(files)
  expect(node.log[2]).toContain('credential placed {"credential":"netrc"')
  expect(node.log[3]).toMatch(/^a credential cannot be read.*ENOENT/)
  expect(await contents(node)).toEqual(['a =\n', 'b =\n', undefined, 'd =\n'])
})

test('an invalid nix.conf is left out, and its lines are not logged', async () => {
  const node = await makeNode()
  const files = await writeSecrets(node)
  for (const text of ['ghp_secret\n', 'a = b\naccess-tokens: forge.example=ghp_secret\n', 'access-tokens=ghp_secret']) {
    await writeFile(files.nixConf, text)
    await node.place(files)
    expect(await contents(node)).toEqual(['a =\n', undefined, 'c =\n', 'd =\n'])
  }
  expect(node.log.join()).toContain('line 2 is neither NAME = VALUE nor include PATH')
  expect(node.log.join()).not.toContain('ghp_')
  await writeFile(
    files.nixConf,
    '# tokens\naccess-tokens = forge.example=ghp_secret # of ours\n\n!include /etc/more\nnetrc-file =\n',
  )
  await node.place(files)
  expect(await contents(node)).not.toContain(undefined)
})

test('a credential inside the state folder is rejected', async () => {
  const node = await makeNode()
  const netrc = join(node.state, 'build-home/.netrc')
  await writeFile(netrc, 'by hand\n')
  await node.place({ netrc })
  expect(await contents(node)).toContain('by hand\n')
  expect(node.log.join()).toContain('is in the state folder')
})

test('unfinished files of a killed shim are removed', async () => {
  const node = await makeNode()
  const files = await writeSecrets(node)
  await node.place(files)
  await writeFile(join(node.state, 'build-credentials/netrc.new'), 'half', { mode: 0o600 })
  await node.place({ nixConf: files.nixConf })
  expect(await readdir(join(node.state, 'build-credentials'))).toEqual(['nixConf'])
  expect(await readlink(join(node.state, 'build-config/nix/nix.conf'))).toBe('../../build-credentials/nixConf')
  expect((await lstat(join(node.state, 'build-config/nix'))).uid).toBe(0)
})
