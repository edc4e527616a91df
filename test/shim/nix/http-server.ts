import { type HttpServer, serveHttp } from '../../node/serve-http.ts'

/** Must not appear in a message, nor be taken for output of git or nix. */
export const ERROR_PAGE = 'error: No space left on device\nfatal: this is the error page'

/** Answers with the file at that path, or with the status at the start of the path and ERROR_PAGE. */
export function startHttpServer(files: Readonly<Record<string, Buffer>> = {}): Promise<HttpServer> {
  return serveHttp(({ url = '' }, response) => {
    const file = files[url]
    if (file) response.end(file)
    else response.writeHead(Number(url.slice(1, 4)), { 'content-type': 'text/plain' }).end(ERROR_PAGE)
  })
}
