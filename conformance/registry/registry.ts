import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { stringify } from 'yaml'
import { claimPort } from '../../test/cluster/claims.ts'
import { createDaemon } from '../../test/node/daemon.ts'
import type { Namespace } from '../../test/node/namespace.ts'
import { REGISTRY_PROGRAM } from '../../test/setup/conformance.mjs'
import { type Image, MANIFEST_TYPE } from './image.ts'

/** A registry on a loopback port. It ends with its namespace. */
export interface Registry {
  /** `127.0.0.1:PORT` */
  readonly host: string
  push(name: string, tag: string, image: Image): Promise<void>
}

export interface RegistryOptions {
  readonly name: string
  /** A line of an htpasswd file and its user and password. Without it, everybody may pull and push. */
  readonly account?: Account
}

export interface Account {
  readonly username: string
  readonly password: string
  /** The user with the bcrypt hash of the password. */
  readonly htpasswd: string
}

const CALL_LIMIT_MS = 60_000
const POLL_MS = 50

/** Debian's docker-registry. */
export async function startRegistry(namespace: Namespace, { name, account }: RegistryOptions): Promise<Registry> {
  const dir = join(namespace.dir, name)
  await mkdir(dir)
  const host = `127.0.0.1:${await claimPort()}`
  const configPath = join(dir, 'config.yml')
  const passwords = join(dir, 'htpasswd')
  await writeFile(passwords, `${account?.htpasswd ?? ''}\n`)
  await writeFile(
    configPath,
    stringify({
      version: 0.1,
      storage: { filesystem: { rootdirectory: join(dir, 'data') } },
      http: { addr: host },
      ...(account && { auth: { htpasswd: { realm: name, path: passwords } } }),
    }),
  )
  const daemon = createDaemon({
    name,
    namespace,
    command: [REGISTRY_PROGRAM, 'serve', configPath],
    env: { PATH: process.env.PATH },
    logPath: join(dir, 'log'),
    ready: signal => waitForAnswer(host, signal),
  })
  await daemon.start()
  return { host, push: (repository, tag, image) => push({ host, repository, account }, tag, image) }
}

async function waitForAnswer(host: string, signal: AbortSignal): Promise<void> {
  const answers = () =>
    fetch(`http://${host}/v2/`, { signal }).then(
      () => true,
      () => false,
    )
  while (!(await answers())) await delay(POLL_MS, undefined, { signal })
}

interface Target {
  readonly host: string
  readonly repository: string
  readonly account: Account | undefined
}

async function push(target: Target, tag: string, { manifest, blobs }: Image): Promise<void> {
  for (const { digest, content } of blobs) {
    const started = await send(target, 'POST', 'blobs/uploads/')
    const upload = new URL(started.headers.get('location') ?? '')
    upload.searchParams.set('digest', digest)
    await send(target, 'PUT', upload, { body: content, type: 'application/octet-stream' })
  }
  await send(target, 'PUT', `manifests/${tag}`, { body: manifest.content, type: MANIFEST_TYPE })
}

async function send(
  { host, repository, account }: Target,
  method: string,
  where: string | URL,
  content?: { readonly body: Buffer; readonly type: string },
): Promise<Response> {
  const url = typeof where === 'string' ? `http://${host}/v2/${repository}/${where}` : where
  const headers = new Headers(content && { 'content-type': content.type })
  if (account) {
    const pair = Buffer.from(`${account.username}:${account.password}`).toString('base64')
    headers.set('authorization', `Basic ${pair}`)
  }
  const body = content === undefined ? null : new Uint8Array(content.body)
  const response = await fetch(url, { method, headers, body, signal: AbortSignal.timeout(CALL_LIMIT_MS) })
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`)
  return response
}
