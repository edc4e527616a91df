import { execFile } from 'node:child_process'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createOwnStore } from '../../../shim/share/own-store.ts'

const KEY = `worker-1:${'A'.repeat(43)}=`
const config = { address: 'http://10.0.0.5:5000', maxServed: 4, fetchOnly: false, logger: pino({ level: 'silent' }) }

test('a NixNode shows the public key as soon as its file exists', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'key-'))
  const publicKeyFile = join(dir.path, 'key')
  const store = createOwnStore({ ...config, publicKeyFile })
  expect(await store()).toEqual({ address: config.address, maxServed: 4 })
  await writeFile(publicKeyFile, `${KEY}\n`)
  expect(await store()).toEqual({ address: config.address, maxServed: 4, publicKey: KEY })
})

test.each([
  ['a secret key', `worker-1:${'A'.repeat(86)}==`],
  ['two keys', `${KEY}\n${KEY}`],
  ['something long', 'x'.repeat(100_000)],
  ['nothing', ''],
])('a NixNode shows no public key if the file has %s', async (_, content) => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'key-'))
  const publicKeyFile = join(dir.path, 'key')
  await writeFile(publicKeyFile, content)
  expect((await createOwnStore({ ...config, publicKeyFile, fetchOnly: true })()).publicKey).toBeUndefined()
})

test('a NixNode shows no public key if its file is a pipe', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'key-'))
  const publicKeyFile = join(dir.path, 'key')
  await promisify(execFile)('mkfifo', [publicKeyFile])
  expect((await createOwnStore({ ...config, publicKeyFile })()).publicKey).toBeUndefined()
})
