import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { hostPlatform } from '../../../../shim/import/image/config.ts'
import { digestOf } from '../../../../shim/import/image/json.ts'
import { LAYER_TYPE } from '../../../../shim/import/image/parsed-image.ts'
import { createSizeLimit } from '../../../../shim/import/image/size-limit.ts'
import { plainLayer, type StoreImage } from '../../../../shim/import/image/store-image.ts'
import { ensureBlob } from '../../../../shim/import/store-layers/commit-snapshots.ts'
import type { StoreLayersContext } from '../../../../shim/import/store-layers/context.ts'
import { openDigestCache } from '../../../../shim/import/store-layers/digest-cache.ts'
import { importStoreImage } from '../../../../shim/import/store-layers/import-store-image.ts'
import { entriesKey, tarKey } from '../../../../shim/import/store-layers/layer-keys.ts'
import { hashBytes } from '../../../../shim/import/streams/streams.ts'

const PATH = `/nix/store/${'0'.repeat(32)}-program`
const FILES = plainLayer([PATH])
const INFOS = new Map([[PATH, { path: PATH, narHash: '0'.repeat(64), narSize: 100, references: [] }]])
const IMAGE: StoreImage = {
  platform: hostPlatform(),
  layers: [{ kind: 'storeFiles', files: FILES }],
  makeConfig: ({ diffIds }) => Buffer.from(JSON.stringify(diffIds)),
}
const REQUEST = { image: IMAGE, base: undefined, check: () => {} }

test('a remembered digest that is wrong is replaced', async () => {
  const context = await makeContext({ readTar: () => 'content' })
  await rememberDigest(context, 'other content')
  const { layers } = await importStoreImage(REQUEST, context)
  expect(layers.map(({ digest }) => digest)).toEqual([digestOf(Buffer.from('content'))])
  expect(await context.digests.recall(tarKey(FILES, INFOS))).toMatchObject({
    digest: digestOf(Buffer.from('content')),
  })
})

test('a layer that is different each time it is read fails the import with a retryable error', async () => {
  let reads = 0
  const context = await makeContext({ readTar: () => `content ${reads++}`, isForgetful: true })
  await rememberDigest(context, 'other content')
  await expect(importStoreImage(REQUEST, context)).rejects.toMatchObject({
    code: 'ImportInterrupted',
    message: expect.stringMatching(
      /^the files of the layer sha256:[0-9a-f]{64} have changed since they were last read/,
    ),
  })
})

test('a blob that containerd collects before the lease holds it is written again', async () => {
  const context = await makeContext({ wantsTars: false })
  const bytes = Buffer.from('a tar')
  const digest = digestOf(bytes)
  const source = { kind: 'tarBytes' as const, bytes, entries: 1 }
  const layer = { source, mediaType: LAYER_TYPE, digest, diffId: digest, size: bytes.length }
  // There at the first look, and gone at the second.
  const writer = { ...context.writer, has: async () => true }
  await ensureBlob({ ...layer, digestKind: 'tar', isUnpackingKnown: true }, { ...context, writer })
  expect(await context.writer.find(digest)).toBe(bytes.length)
})

/** As if the tar had had other bytes when it was made before. */
async function rememberDigest({ digests }: StoreLayersContext, content: string): Promise<void> {
  const blob = { digest: digestOf(Buffer.from(content)), size: content.length }
  await digests.remember(tarKey(FILES, INFOS), blob)
  await digests.rememberNumber(entriesKey(FILES, INFOS), 1, blob)
}

interface Scene {
  readonly readTar?: () => string
  readonly wantsTars?: boolean
  /** containerd loses every blob immediately. */
  readonly isForgetful?: boolean
}

/** containerd has all snapshots. */
async function makeContext({ readTar = unexpected, wantsTars = true, isForgetful = false }: Scene = {}) {
  const digestsFolder = await mkdtemp(join(tmpdir(), 'changed-content-'))
  onTestFinished(() => rm(digestsFolder, { recursive: true }))
  const calls = {
    unary: unexpected,
    serverStream: unexpected,
    open: unexpected,
    within: unexpected,
    signal: undefined,
  }
  const blobs = new Map<string, number>()
  const context: StoreLayersContext = {
    snapshots: {
      lease: { id: 'lease', calls },
      snapshotter: { calls, name: 'overlayfs' },
      inspect: async chain => chain.length,
      has: async () => true,
      isLost: () => false,
      commit: unexpected,
      persist: unexpected,
    },
    writer: {
      find: async digest => blobs.get(digest),
      has: async digest => blobs.has(digest),
      async write(chunks) {
        const blob = await hashBytes(chunks)
        if (!isForgetful) blobs.set(blob.digest, blob.size)
        return blob
      },
      writeDocuments: async () => {},
      publish: unexpected,
      sentBytes: () => 0,
    },
    closure: { storeDir: '/nix/store', infos: INFOS, find: unexpected },
    limit: createSizeLimit(1e9),
    digests: openDigestCache(join(digestsFolder, 'digests')),
    tars: {
      async *tar() {
        yield Buffer.from(readTar())
      },
      digest: unexpected,
      close: async () => {},
    },
    wantsTars,
    openStager: unexpected,
    signal: new AbortController().signal,
    onProgress: () => {},
  }
  return context
}

function unexpected(): never {
  throw new Error('not expected in this test')
}
