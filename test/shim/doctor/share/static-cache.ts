import { createReadStream } from 'node:fs'
import { createServer } from 'node:http'
import { join, normalize } from 'node:path'

export interface StaticCache extends AsyncDisposable {
  readonly url: string
}

/** Serves a folder that `nix copy --to file://` has written. */
export async function serveFolder(folder: string): Promise<StaticCache> {
  const server = createServer(({ url = '/' }, response) => {
    const path = join(folder, normalize(new URL(url, 'http://cache').pathname))
    createReadStream(path)
      .on('error', () => response.writeHead(404).end())
      .pipe(response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
