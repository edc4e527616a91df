import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { stat, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import { join } from 'node:path'

/** A binary cache: a folder that `nix copy --to file://` has filled, behind an HTTP server. */
export interface BinaryCache extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  /** The paths that were asked for, such as `/nar/….nar`. */
  readonly requests: readonly string[]
  /** Answers instead of the folder if it returns true. */
  instead(answer: (path: string, response: ServerResponse) => boolean): void
}

export async function startBinaryCache(folder: string): Promise<BinaryCache> {
  const requests: string[] = []
  let answer: (path: string, response: ServerResponse) => boolean = () => false
  const server = createServer(({ url = '/' }, response) => {
    requests.push(url)
    response.on('error', () => {})
    if (!answer(url, response)) void sendFile(join(folder, url), response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    instead: wanted => {
      answer = wanted
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
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

export interface SigningKey {
  /** For `secret-key-files`. */
  readonly file: string
  /** For `trusted-public-keys`. */
  readonly publicKey: string
  /** Returns a signature as a narinfo has it. */
  sign(text: string): string
}

/** Writes a key in Nix's format: the name, the seed and the public key. */
export async function makeSigningKey(folder: string, name: string): Promise<SigningKey> {
  const { privateKey } = generateKeyPairSync('ed25519')
  const { d = '', x = '' } = privateKey.export({ format: 'jwk' })
  const publicBytes = Buffer.from(x, 'base64url')
  const file = join(folder, name)
  const secret = Buffer.concat([Buffer.from(d, 'base64url'), publicBytes]).toString('base64')
  await writeFile(file, `${name}:${secret}`, { mode: 0o600 })
  return {
    file,
    publicKey: `${name}:${publicBytes.toString('base64')}`,
    sign: text => `${name}:${sign(null, Buffer.from(text), privateKey).toString('base64')}`,
  }
}
