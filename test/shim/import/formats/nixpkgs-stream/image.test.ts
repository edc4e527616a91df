import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readStreamImage } from '../../../../../shim/import/formats/nixpkgs-stream/image.ts'
import { closureOf } from '../../closure.ts'
import { CHECKSUM, makeStreamStore, NEWER_PROGRAM, OLDER_PROGRAM, PROGRAMS, type StreamStore } from './stream-store.ts'

let store: StreamStore
beforeEach(async () => {
  store = await makeStreamStore()
})
afterEach(() => store[Symbol.asyncDispose]())

/** 2024-03-01T00:00:00.120Z */
const NOW = 1_709_251_200_120

const read = async (kind: 'script' | 'json', path: string) =>
  readStreamImage({ kind, path }, { closure: await closureOf(store.storeDir), now: () => NOW, programs: PROGRAMS })
const readScript = (path: string) => read('script', path)
const readImage = async (changes: object, program?: string) =>
  readScript(await store.addScript({ ...store.conf, ...changes }, program))
const readConf = async (changes: object) => {
  const path = await store.add('image-conf.json', JSON.stringify({ ...store.conf, ...changes }))
  return read('json', path)
}

const own = { uid: 1000, gid: 100, uname: 'app', gname: 'users' }
const root = { uid: 0, gid: 0, uname: 'root', gname: 'root' }
const customisationLayer = () => ({
  kind: 'tarFile',
  path: join(store.storePath('customisation-layer'), 'layer.tar'),
  digest: `sha256:${CHECKSUM}`,
  diffId: `sha256:${CHECKSUM}`,
  mediaType: 'application/vnd.oci.image.layer.v1.tar',
})
const storeLayer = (name: string, wanted: object) => ({
  kind: 'storeFiles',
  files: { paths: [store.storePath(name)], ...wanted },
})

it('reads a script by its conf.json', async () => {
  const wanted = { owner: own, mtime: 1, rootMode: 0o755 }
  expect(await readImage({})).toMatchObject({
    platform: { os: 'linux', architecture: 'amd64' },
    base: undefined,
    layers: [storeLayer('lib-1.0', wanted), storeLayer('app', wanted), customisationLayer()],
  })
})

it('gives files of the older program to root, with the time of the image', async () => {
  const older = { mtime: undefined, uid: undefined, gid: undefined, uname: undefined, gname: undefined }
  const wanted = { owner: root, mtime: 1_709_251_199, rootMode: 0o555 }
  const layers = [storeLayer('lib-1.0', wanted), storeLayer('app', wanted), customisationLayer()]
  expect(await readImage(older, OLDER_PROGRAM)).toMatchObject({ layers })
})

it('ignores newer fields of a conf.json for the older program', async () => {
  const image = await readImage({}, OLDER_PROGRAM)
  expect(image?.layers[0]).toEqual(storeLayer('lib-1.0', { owner: root, mtime: 1_709_251_199, rootMode: 0o555 }))
})

it('accepts ids that are numbers', async () => {
  const image = await readImage({ uid: 5, gid: 4_294_967_294 })
  expect(image?.layers[0]).toMatchObject({ files: { owner: { uid: 5, gid: 4_294_967_294 } } })
})

it('names the store paths of each layer in the config', async () => {
  const image = await readImage({})
  const config = JSON.parse(String(image?.makeConfig({ diffIds: ['sha256:1', 'sha256:2', 'sha256:3'] })))
  expect(config).toMatchObject({
    created: '2024-02-29T23:59:59+00:00',
    config: { Cmd: ['/bin/app'] },
    rootfs: { diff_ids: ['sha256:1', 'sha256:2', 'sha256:3'], type: 'layers' },
    history: ['lib-1.0', 'app', 'customisation-layer'].map(name => ({
      comment: `store paths: ['${store.storePath(name)}']`,
    })),
  })
})

it('gives the files of an image that is created "now" the same time', async () => {
  const image = await readImage({ created: 'now', mtime: 'now', store_layers: [] })
  const config = JSON.parse(String(image?.makeConfig({ diffIds: ['sha256:1'] })))
  expect(config.created).toBe('2024-03-01T00:00:00.120000+00:00')
  const layered = await readImage({ created: 'now', mtime: 'now' })
  expect(layered?.layers[0]).toMatchObject({ files: { mtime: 1_709_251_200 } })
})

it('accepts a base image that is a store path, a path below one or a link to another', async () => {
  const base = await store.add('base.tar', '')
  const link = store.storePath('link.tar')
  await symlink(base, link)
  const below = join(store.storePath('customisation-layer'), 'layer.tar')
  expect(await readImage({ from_image: base })).toMatchObject({ base })
  expect(await readImage({ from_image: link })).toMatchObject({ base })
  expect(await readImage({ from_image: below })).toMatchObject({ base: below })
})

it('reads a conf.json without a script', async () => {
  const image = await readConf({})
  expect(image?.layers[0]).toEqual(storeLayer('lib-1.0', { owner: own, mtime: 1, rootMode: 0o755 }))
})

it('reads an older conf.json without a script', async () => {
  const image = await readConf({ mtime: undefined, uid: undefined })
  expect(image?.layers[0]).toEqual(storeLayer('lib-1.0', { owner: root, mtime: 1_709_251_199, rootMode: 0o555 }))
})

it.each([
  ['another script', '#!/bin/sh\necho hello\n'],
  ['a long script', `#!/bin/sh\n${'#\n'.repeat(100_000)}`],
  ['a program', '\x7fELF'],
])('does not recognize %s', async (_, text) => {
  expect(await readScript(await store.add('wrapper', text))).toBeUndefined()
})

it.each(['{}', '{"version":1,"image-config":{},"layers":[]}', '{"store_layers":[]}', '{', '{"store_layers":'])(
  'the file %s is none',
  async text => {
    const path = await store.add('file', text)
    expect(await read('json', path)).toBeUndefined()
  },
)

it('does not recognize the script of an unknown program', async () => {
  expect(await readImage({}, NEWER_PROGRAM.replace('0o755', '0o700'))).toBeUndefined()
})

it('leaves a layer of something below a store path to the script', async () => {
  const changes = { store_layers: [[`${store.storePath('customisation-layer')}/layer.tar`]] }
  expect(await readImage(changes)).toBeUndefined()
  await expect(readConf(changes)).rejects.toMatchObject({ code: 'ArchiveInvalid' })
})

it.each(['2024-02-29', '29.2.2024', ''])('leaves the time %j to the script', async mtime => {
  expect(await readImage({ mtime })).toBeUndefined()
  expect(await readImage({ created: mtime })).toBeUndefined()
  await expect(readConf({ mtime })).rejects.toMatchObject({ code: 'ArchiveInvalid' })
})

it('leaves files older than 1970 to the script', async () => {
  expect(await readImage({ mtime: '1969-12-31T23:59:59Z' })).toBeUndefined()
})

const app = `${'a'.repeat(32)}-app`

it.each<[string, (storeDir: string) => object]>([
  ['no list of layers', () => ({ store_layers: 'all' })],
  ['a layer that is not a list', storeDir => ({ store_layers: [`${storeDir}/${app}`] })],
  ['a layer of numbers', () => ({ store_layers: [[1]] })],
  ['a layer out of the store', () => ({ store_layers: [['/etc/passwd']] })],
  ['a layer of another store', () => ({ store_layers: [[`/other/store/${app}`]] })],
  ['the store itself as a layer', storeDir => ({ store_layers: [[storeDir]] })],
  ['a layer that climbs out', storeDir => ({ store_layers: [[`${storeDir}/${app}/../../../etc`]] })],
  ['a layer with a NUL', storeDir => ({ store_layers: [[`${storeDir}/${app}\0`]] })],
  ['more than 500 layers', () => ({ store_layers: Array(501).fill([]) })],
  ['a million layers', () => ({ store_layers: Array(1_000_000).fill([]) })],
  ['a million paths', () => ({ store_layers: [Array(1_000_000).fill('')] })],
  ['another store', () => ({ store_dir: '/other/store' })],
  ['no architecture', () => ({ architecture: undefined })],
  ['a config that is a list', () => ({ config: [] })],
  ['a config that is nested deeply', () => ({ config: { a: JSON.parse('['.repeat(200) + ']'.repeat(200)) } })],
  ['a base out of the store', () => ({ from_image: '/etc/passwd' })],
  ['a base that climbs out', storeDir => ({ from_image: `${storeDir}/${app}/../../passwd` })],
  ['a base that does not exist', storeDir => ({ from_image: `${storeDir}/${app}` })],
  ['no customization layer', () => ({ customisation_layer: null })],
  ['a customization layer out of the store', () => ({ customisation_layer: '/tmp' })],
  ['a customization layer that does not exist', storeDir => ({ customisation_layer: `${storeDir}/${app}` })],
  ['an id below 0', () => ({ uid: -1 })],
  ['an id that is not a whole number', () => ({ gid: 0.5 })],
  ['an id that is out of range', () => ({ uid: '4294967295' })],
  ['an id that is a word', () => ({ uid: 'root' })],
  ['no id', () => ({ gid: undefined })],
  ['an owner with a NUL', () => ({ uname: 'a\0b' })],
  ['a long owner', () => ({ gname: 'a'.repeat(256) })],
  ['no time', () => ({ created: undefined })],
  ['a time that is a number', () => ({ mtime: 1 })],
])('rejects a conf.json with %s', async (_, changes) => {
  await expect(readImage(changes(store.storeDir))).rejects.toMatchObject({ code: 'ArchiveInvalid' })
  await expect(readConf(changes(store.storeDir)).then(image => image ?? REFUSED)).rejects.toMatchObject(REFUSED)
})

const REFUSED = { code: 'ArchiveInvalid' }

it('rejects a conf.json of more than 4 MiB', async () => {
  await expect(readImage({ config: { a: 'a'.repeat(5_000_000) } })).rejects.toMatchObject(REFUSED)
})

it('rejects a conf.json that is not UTF-8', async () => {
  const script = await store.addScript(store.conf)
  await writeFile(store.storePath('image-conf.json'), Buffer.from('{"architecture":"\xff"}', 'latin1'))
  await expect(readScript(script)).rejects.toMatchObject(REFUSED)
})

it('rejects a conf.json behind a link out of the store', async () => {
  const script = await store.addScript(store.conf)
  await rm(store.storePath('image-conf.json'))
  await symlink('/etc/hostname', store.storePath('image-conf.json'))
  await expect(readScript(script)).rejects.toMatchObject(REFUSED)
})

it.each(['layer.tar', 'checksum'])(
  'a customization layer whose %s is a link out of the store is refused',
  async name => {
    await rm(join(store.storePath('customisation-layer'), name))
    await symlink('/etc/hostname', join(store.storePath('customisation-layer'), name))
    await expect(readImage({})).rejects.toMatchObject(REFUSED)
  },
)

it.each(['', 'abc', 'A'.repeat(64), `${CHECKSUM} layer.tar`, 'a'.repeat(2000)])(
  'the checksum %j is refused',
  async checksum => {
    await writeFile(join(store.storePath('customisation-layer'), 'checksum'), checksum)
    await expect(readImage({})).rejects.toMatchObject(REFUSED)
  },
)

it('rejects a customization layer that is a folder', async () => {
  await rm(join(store.storePath('customisation-layer'), 'layer.tar'))
  await mkdir(join(store.storePath('customisation-layer'), 'layer.tar'))
  await expect(readImage({})).rejects.toMatchObject(REFUSED)
})
