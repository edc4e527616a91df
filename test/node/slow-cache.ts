import { type HttpServer, serveHttp } from './serve-http.ts'

/** A binary cache that has nothing, and never answers whether it has one store path. */
export interface SlowCache extends HttpServer {
  readonly storePath: string
}

export async function startSlowCache(): Promise<SlowCache> {
  const hash = '0'.repeat(32)
  const server = await serveHttp(({ url }, response) => {
    if (url === `/${hash}.narinfo`) return
    if (url === '/nix-cache-info') response.end('StoreDir: /nix/store\n')
    else response.writeHead(404).end()
  })
  return { ...server, storePath: `/nix/store/${hash}-slow` }
}
