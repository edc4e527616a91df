import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { roomFor } from '../../../../shim/import/image/size-limit.ts'
import { ROOT, STORE_MTIME, type StorePathLayer } from '../../../../shim/import/image/store-image.ts'
import { createTarThreads } from '../../../../shim/import/store-layers/tar-threads.ts'
import { CHUNK_BYTES, RING_CHUNKS } from '../../../../shim/import/tar/chunks.ts'
import { storePathTar } from '../../../../shim/import/tar/store-path-tar.ts'

const room = () => roomFor(1e6, 1e9)

/** A file of bytes that differ from chunk to chunk. */
function fileLayer(dir: string, name: string, size: number): StorePathLayer {
  const path = join(dir, name)
  const block = (n: number) => createHash('sha512').update(`${name} ${n}`).digest()
  writeFileSync(path, Buffer.concat(Array.from({ length: Math.ceil(size / 64) }, (_, n) => block(n))).subarray(0, size))
  return { paths: [path], owner: ROOT, mtime: STORE_MTIME, rootMode: 0o755 }
}

function digestOf(chunks: Iterable<Buffer>): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

test('one thread makes complete tars one after another, even if they are read slowly or abandoned', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'tar-threads-'))
  const sizes = [3 * RING_CHUNKS * CHUNK_BYTES + 777, 100, 2 * CHUNK_BYTES]
  const layers = sizes.map((size, n) => fileLayer(dir.path, `file-${n}`, size))
  const threads = createTarThreads(1)
  try {
    for (const layer of [...layers, ...layers]) {
      for await (const _ of threads.tar(layer, room())) break
      const hash = createHash('sha256')
      for await (const chunk of threads.tar(layer, room())) {
        await setImmediate()
        hash.update(chunk)
      }
      expect(hash.digest('hex')).toBe(digestOf(storePathTar(layer)))
    }
  } finally {
    await threads.close()
  }
})

test('a chunk that is not full stays valid when more is asked for', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'tar-threads-'))
  const layers = ['one', 'two'].map(name => fileLayer(dir.path, name, 100))
  const threads = createTarThreads(1)
  try {
    const kept: Buffer[][] = []
    for (const layer of layers) {
      const chunks: Buffer[] = []
      for await (const chunk of threads.tar(layer, room())) chunks.push(chunk)
      kept.push(chunks)
    }
    expect(kept.map(digestOf)).toEqual(layers.map(layer => digestOf(storePathTar(layer))))
  } finally {
    await threads.close()
  }
})

test('threads that were ended start again when they are needed', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'tar-threads-'))
  const layer = fileLayer(dir.path, 'file', 100)
  const threads = createTarThreads(1)
  const first = await threads.digest(layer, room())
  await threads.close()
  expect(await threads.digest(layer, room())).toEqual(first)
  await threads.close()
})
