import { createServer } from 'node:http'
import { portOf } from './port-of.ts'

/** A binary cache that has nothing, and never answers whether it has one store path. */
export interface SlowCache extends AsyncDisposable {
  readonly url: string
  readonly storePath: string
}

export async function startSlowCache(): Promise<SlowCache> {
  const hash = '0'.repeat(32)
  const server = createServer(({ url }, response) => {
    if (url === `/${hash}.narinfo`) return
    if (url === '/nix-cache-info') response.end('StoreDir: /nix/store\n')
    else response.writeHead(404).end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${portOf(server.address())}`,
    storePath: `/nix/store/${hash}-slow`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
