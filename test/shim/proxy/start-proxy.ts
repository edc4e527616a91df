import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { pino } from 'pino'
import { createProxy, type ProxyOptions } from '../../../shim/proxy/proxy.ts'

export interface RunningProxy extends AsyncDisposable {
  readonly dir: string
  readonly socket: string
  readonly proxy: ReturnType<typeof createProxy>
  /** The lines that it logged so far. */
  logLines(): { msg: string; level: number; [field: string]: unknown }[]
}

/** A temp folder that is gone at the end of the test. */
export async function tempFolder(): Promise<AsyncDisposable & { readonly dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'enbi-proxy-'))
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) }
}

/** A listening proxy, by default on a new socket. */
export async function startProxy({
  socket: path,
  ...options
}: Pick<ProxyOptions, 'upstream'> & Partial<ProxyOptions> & { readonly socket?: string }): Promise<RunningProxy> {
  const folder = await tempFolder()
  const socket = path ?? join(folder.dir, 'proxy.sock')
  const log = new PassThrough({ encoding: 'utf8' })
  let text = ''
  log.on('data', (chunk: string) => {
    text += chunk
  })
  const proxy = createProxy({
    intercept: new Map(),
    streams: new Map(),
    logger: pino({ level: 'debug' }, log),
    ...options,
  })
  await proxy.listen({ path: socket })
  return {
    dir: folder.dir,
    socket,
    proxy,
    logLines: () =>
      text
        .split('\n')
        .filter(line => line !== '')
        .map(line => JSON.parse(line)),
    async [Symbol.asyncDispose]() {
      await proxy.close({ graceMs: 0 })
      await folder[Symbol.asyncDispose]()
    },
  }
}
