import { once } from 'node:events'
import { createServer } from 'node:http'

export interface HttpServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string
}

/** Must not appear in a message, nor be taken for output of git or nix. */
export const ERROR_PAGE = 'error: No space left on device\nfatal: this is the error page'

/** Answers with the file at that path, or with the status at the start of the path and ERROR_PAGE. */
export async function startHttpServer(files: Readonly<Record<string, Buffer>> = {}): Promise<HttpServer> {
  const server = createServer(({ url = '' }, response) => {
    const file = files[url]
    if (file) response.end(file)
    else response.writeHead(Number(url.slice(1, 4)), { 'content-type': 'text/plain' }).end(ERROR_PAGE)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    origin: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
