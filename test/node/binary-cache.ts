import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { type HttpServer, serveHttp } from './serve-http.ts'

/** A binary cache: a folder that `nix copy --to file://` has filled, behind an HTTP server. */
export interface BinaryCache extends HttpServer {
  /** The paths that were asked for, such as `/nar/….nar`. */
  readonly requests: readonly string[]
  /** Answers instead of the folder if it returns true. */
  instead(answer: (path: string, response: ServerResponse) => boolean): void
}

export async function startBinaryCache(folder: string): Promise<BinaryCache> {
  const requests: string[] = []
  let answer: (path: string, response: ServerResponse) => boolean = () => false
  const server = await serveHttp(({ url = '/' }, response) => {
    requests.push(url)
    response.on('error', () => {})
    if (!answer(url, response)) void sendFile(join(folder, url), response)
  })
  return {
    ...server,
    requests,
    instead: wanted => {
      answer = wanted
    },
  }
}

async function sendFile(file: string, response: ServerResponse): Promise<void> {
  const found = await stat(file).catch(() => undefined)
  if (!found?.isFile()) return void response.writeHead(404).end()
  createReadStream(file)
    .on('error', () => response.destroy())
    .pipe(response)
}
