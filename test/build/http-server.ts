import { once } from 'node:events'
import { createServer } from 'node:http'

export interface HttpServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string
}

/** Answers with the file of that path, or else with the status that the path begins with. */
export async function startHttpServer(files: Readonly<Record<string, Buffer>> = {}): Promise<HttpServer> {
  const server = createServer(({ url = '' }, response) => {
    const file = files[url]
    if (file) response.end(file)
    else response.writeHead(Number(url.slice(1, 4))).end()
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
