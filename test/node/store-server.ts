import { readdir } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { basename, join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'
import * as v from 'valibot'
import type { Bed } from './bed.ts'
import { type HttpServer, serveHttp } from './serve-http.ts'

/** Serves the Nix store of a bed as a binary cache, as harmonia does: what nobody has signed is served without a signature. */
export interface StoreServer extends HttpServer {
  /** The paths that were asked for so far, as in `/HASH.narinfo`. */
  readonly asked: readonly string[]
  /** The store to serve from now on. Before, the cache is empty. */
  serve(bed: Pick<Bed, 'dir' | 'enter' | 'env' | 'run'>): void
  behave(how: Behavior): void
}

/** What is wrong with the server. */
export interface Behavior {
  /** It closes each connection without an answer. */
  readonly away?: boolean
  /** Of each NAR. */
  readonly bytesPerSecond?: number
  /** A byte of each NAR is another one. */
  readonly corrupt?: boolean
}

export async function startStoreServer(): Promise<StoreServer> {
  const asked: string[] = []
  const infos = new Map<string, Promise<string | undefined>>()
  let store: Parameters<StoreServer['serve']>[0] | undefined
  let behavior: Behavior = {}

  async function pathOf(hash: string): Promise<string | undefined> {
    const names = store ? await readdir(join(store.dir, 'nix', 'store')).catch(() => []) : []
    const name = names.find(one => one.startsWith(`${hash}-`) && !/\.(?:lock|drv|chroot)$/.test(one))
    return name === undefined ? undefined : `/nix/store/${name}`
  }

  async function infoOf(hash: string): Promise<string | undefined> {
    const path = await pathOf(hash)
    if (!store || path === undefined) return undefined
    const known = infos.get(path) ?? readInfo(store, path)
    infos.set(path, known)
    const info = await known
    if (info === undefined) infos.delete(path)
    return info
  }

  async function sendNar(hash: string, response: ServerResponse): Promise<void> {
    const path = await pathOf(hash)
    if (!store || path === undefined) return void response.writeHead(404).end()
    const [program = '', ...prefix] = store.enter
    const dump = execa(program, [...prefix, 'nix-store', '--dump', path], {
      env: store.env,
      extendEnv: false,
      buffer: false,
      reject: false,
    })
    response.on('close', () => dump.kill())
    await pipeline(dump.stdout, spoil(behavior), response).catch(() => {}) // the reader has left
  }

  const server = await serveHttp(async ({ url = '' }, response) => {
    asked.push(url)
    if (behavior.away) return void response.destroy()
    const [, hash = '', kind] = /^\/(?:nar\/)?([0-9a-z]{32})\.(narinfo|nar)$/.exec(url) ?? []
    if (url === '/nix-cache-info') return void response.end('StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n')
    if (kind === 'nar') return sendNar(hash, response)
    const info = kind === 'narinfo' ? await infoOf(hash) : undefined
    if (info === undefined) response.writeHead(404).end()
    else response.end(info)
  })
  return {
    ...server,
    asked,
    serve(bed) {
      store = bed
      infos.clear()
    },
    behave(how) {
      behavior = how
    },
  }
}

const pathInfo = v.object({
  path: v.optional(v.string()),
  narSize: v.number(),
  references: v.array(v.string()),
  signatures: v.optional(v.array(v.string()), []),
})
/** A list before Nix 2.19, and then an object whose keys are the paths. */
const pathInfos = v.union([v.array(pathInfo), v.record(v.string(), pathInfo)])

/** Undefined if the path is not valid. */
async function readInfo({ run }: Pick<Bed, 'run'>, path: string): Promise<string | undefined> {
  const asked = await run('nix', ['path-info', '--json', '--offline', path], { reject: false })
  if (asked.exitCode !== 0) return undefined
  const [info] = Object.values(v.parse(pathInfos, JSON.parse(asked.stdout)))
  if (!info) return undefined
  // In the form of narinfos, which that of JSON is not.
  const { stdout: narHash } = await run('nix-store', ['--query', '--hash', path])
  return [
    `StorePath: ${path}`,
    `URL: nar/${basename(path).slice(0, 32)}.nar`,
    'Compression: none',
    `NarHash: ${narHash}`,
    `NarSize: ${info.narSize}`,
    `References: ${info.references.map(reference => basename(reference)).join(' ')}`,
    ...info.signatures.map(signature => `Sig: ${signature}`),
    '',
  ].join('\n')
}

/** Long enough to be within the content of a file. */
const SPOILT_BYTE = 200

function spoil({ bytesPerSecond, corrupt = false }: Behavior): Transform {
  let position = 0
  return new Transform({
    async transform(chunk: Buffer, _encoding, done) {
      const index = SPOILT_BYTE - position
      if (corrupt && index >= 0 && index < chunk.length) chunk[index] = (chunk[index] ?? 0) ^ 1
      position += chunk.length
      if (bytesPerSecond !== undefined) await delay((1000 * chunk.length) / bytesPerSecond)
      done(null, chunk)
    },
  })
}
