import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bed, startBed } from './bed.ts'
import { writeMadeFlake } from './made-flake.ts'
import { makeSigningKey } from './signing-key.ts'
import { type StoreServer, startStoreServer } from './store-server.ts'

const kept = new AsyncDisposableStack()
let server: StoreServer
let builder: Bed
let copier: Bed

beforeAll(async () => {
  const key = makeSigningKey('builder-1')
  server = kept.use(await startStoreServer())
  builder = kept.use(await startBed({ without: ['containerd', 'nix'] }))
  const file = join(builder.dir, 'key')
  await writeFile(file, key.secret)
  await writeFile(join(builder.dir, 'nix-conf', 'nix.conf'), `secret-key-files = ${file}\n`, { flag: 'a' })
  await builder.nixDaemon.start()
  copier = kept.use(await startBed({ without: ['containerd'], nixSettings: { 'trusted-public-keys': key.public } }))
  server.serve(builder)
})
afterAll(() => kept.disposeAsync())

test('what a bed has built can be copied from the server of its store', async () => {
  const storePath = await build('served')
  await copy(storePath)
  expect((await copier.run('cat', [storePath])).stdout).toBe('served')
})

test('a corrupt NAR of a server is refused', async () => {
  const storePath = await build('x'.repeat(1000))
  server.behave({ corrupt: true })
  await expect(copy(storePath)).rejects.toThrow('hash mismatch')
})

async function build(text: string): Promise<string> {
  const url = await writeMadeFlake(builder.dir, `make "text" { } "printf ${text} > $out"`)
  const { stdout } = await builder.run('nix', ['build', '--no-link', '--json', `${url}#image`])
  return /\/nix\/store\/[^"]*-text(?=")/.exec(stdout)?.[0] ?? ''
}

async function copy(storePath: string): Promise<void> {
  await copier.run('nix', ['copy', '--from', server.url, storePath], { user: copier.buildUser })
}
