import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'

export interface HttpServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
}

/** Serves on a loopback port of its own. */
export async function serveHttp(listener: RequestListener): Promise<HttpServer> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
