import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openImageCache } from '../../../../shim/import/archive/image-cache.ts'
import { CONFIG_TYPE, makeDocument, makeManifest } from '../../../../shim/import/image/parsed-image.ts'
import { makeImage } from '../image.ts'

test.each([
  ['an image like others', 0, true],
  ['an image with a config of 300 kB', 300_000, false],
])('whether %s is remembered', async (_what, padding, isRemembered) => {
  const folder = await mkdtemp(join(tmpdir(), 'plans-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const config = makeDocument(CONFIG_TYPE, Buffer.concat([makeImage([]).config, Buffer.alloc(padding, ' ')]))
  const plan = { config, manifest: makeManifest(config, []), layers: [], unpackedSize: 1, layerNames: [] }
  const memory = openImageCache(folder)
  await memory.remember('key', plan)
  expect(await memory.recall('key')).toEqual(isRemembered ? plan : undefined)
})
