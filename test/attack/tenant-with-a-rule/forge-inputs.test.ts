import { once } from 'node:events'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { type RemoteBuilder, recipeOf, startBuilder } from '../../shim/nix/remote-builder.ts'
import { flakeOf, makeRepository } from '../git-repository.ts'

let bed: Bed
let builder: RemoteBuilder
let forge: Server
let host: string
beforeAll(async () => {
  bed = await startBed({ without: ['containerd'] })
  const [key, certificate] = [join(bed.dir, 'key.pem'), join(bed.dir, 'certificate.pem')]
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,DNS:api.localhost']
  const files = ['-keyout', key, '-out', certificate]
  await bed.run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '3000', ...names, ...files])
  await chmod(certificate, 0o644)
  builder = startBuilder(bed, { env: { NIX_SSL_CERT_FILE: certificate } })
  // The path of GitHub Enterprise: /api/v3/repos/OWNER/REPO/tarball/REV
  forge = createServer({ key: await readFile(key), cert: await readFile(certificate) }, async (request, response) => {
    const [, owner, repository] = /\/repos\/(\w+)\/(\w+)\//.exec(request.url ?? '') ?? []
    const bytes = await readFile(join(bed.dir, `${owner}-${repository}.tar.gz`)).catch(() => undefined)
    response.writeHead(bytes ? 200 : 404).end(bytes)
  })
  forge.listen(0, '127.0.0.1')
  await once(forge, 'listening')
  const address = forge.address()
  host = `localhost:${typeof address === 'object' ? address?.port : ''}`
})
afterAll(async () => {
  forge?.closeAllConnections()
  forge?.close()
  await builder?.[Symbol.asyncDispose]()
  await bed?.[Symbol.asyncDispose]()
})

/** Builds the package `app` of that flake on this node and reads it. */
async function read(url: string): Promise<string> {
  const { storePath } = await builder.build(recipeOf(url, 'app'))
  return (await bed.run('cat', [storePath])).stdout
}

/** Makes the forge serve that repository for every revision. */
async function serve(owner: string, repository: string): Promise<void> {
  const dir = join(bed.dir, `${owner}-${repository}`)
  await mkdir(dir)
  await writeFile(join(dir, 'text'), owner)
  await bed.run('tar', ['-C', dir, '-czf', `${dir}.tar.gz`, '.', '--transform=s,^,x/,'])
}

test("a revision that was fetched for a stranger's commit is not reused as the input of another commit of the repository", async () => {
  for (const owner of ['evil', 'good']) await serve(owner, 'input')
  const shows = (owner: string) => {
    const input = `{ type = "github"; host = "${host}"; owner = "${owner}"; repo = "input"; rev = "${'a'.repeat(40)}"; }`
    return flakeOf(`\${builtins.readFile "\${builtins.fetchTree ${input}}/text"}`)
  }
  const repository = await makeRepository(bed, 'with-inputs')
  await repository.commit({ 'flake.nix': shows('good') })
  await repository.git('checkout', '-q', '-b', 'proposal')
  await repository.commit({ 'flake.nix': shows('evil') })
  await repository.git('checkout', '-q', 'main')
  expect(await read(`${repository.url}?ref=proposal`)).toBe('evil')
  expect(await read(`${repository.url}?ref=main`)).toBe('good')
})
