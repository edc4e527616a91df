import { mkdir, mkdtempDisposable, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { goTime } from '../../../../../shim/import/formats/nix2container/go-json.ts'
import { readNix2ContainerImage } from '../../../../../shim/import/formats/nix2container/image.ts'
import { CURRENT_FORM } from '../../../../../shim/import/image/store-image.ts'
import type { Closure } from '../../../../../shim/import/store/closure.ts'
import { closureOf } from '../../closure.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const OTHER = `sha256:${'b'.repeat(64)}`
const PATH = `/nix/store/${'0'.repeat(32)}-app`
const TAR = 'application/vnd.oci.image.layer.v1.tar'
const LAYER = { digest: DIGEST, size: 1024, diff_ids: DIGEST, mediatype: TAR, paths: [{ path: PATH }], History: {} }

const image = (more: object = {}, layer: object = {}) => {
  return { version: 1, 'image-config': {}, layers: [{ ...LAYER, ...layer }], arch: 'amd64', created: null, ...more }
}
const NO_STORE: Closure = { storeDir: '/nix/store', infos: new Map(), find: async () => undefined }
const read = async (document: unknown, storeDir?: string) =>
  readNix2ContainerImage(
    Buffer.from(JSON.stringify(document)),
    storeDir === undefined ? NO_STORE : await closureOf(storeDir),
  )

test('layers of store paths have their rewrites, permissions and promised digests', async () => {
  const rewrite = { regex: '^/nix', repl: '' }
  const perms = [{ regex: 'x', mode: '0644', uid: 1, gid: 2, uname: 'u', gname: 'g' }]
  const found = await read(image({}, { paths: [{ path: PATH, options: { rewrite, perms } }] }))
  expect(found?.platform).toEqual({ os: 'linux', architecture: 'amd64' })
  expect(found?.layers).toEqual([
    { kind: 'storeFiles', files: { paths: [{ path: PATH, rewrite, perms }], form: CURRENT_FORM }, promised: DIGEST },
  ])
})

test('an empty regular expression rewrites nothing', async () => {
  const found = await read(image({}, { paths: [{ path: PATH, options: { rewrite: { regex: '', repl: 'x' } } }] }))
  expect(found?.layers).toMatchObject([{ files: { paths: [{ path: PATH, rewrite: undefined, perms: [] }] } }])
})

test('a layer may be a tar file in the store, but none outside it', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'nix2container-'))
  const base = join(folder.path, `${'0'.repeat(32)}-base`)
  await mkdir(base)
  await writeFile(join(base, 'layer'), '')
  await symlink('/etc/passwd', join(base, 'out'))
  const layer = { digest: DIGEST, diff_ids: OTHER, size: 0, mediatype: `${TAR}+gzip`, paths: null }
  const ready = (path: string) => read(image({}, { ...layer, 'layer-path': path }), folder.path)
  const path = join(base, 'layer')
  expect((await ready(path))?.layers).toEqual([
    { kind: 'tarFile', path, digest: DIGEST, diffId: OTHER, mediaType: `${TAR}+gzip` },
  ])
  for (const wrong of [join(base, 'out'), join(base, 'none'), '/etc/passwd', `${base}/../x`])
    await expect(ready(wrong)).rejects.toMatchObject({ code: 'ArchiveInvalid' })
})

test.each([{}, [], null, 'x', { version: 2, 'image-config': {}, layers: [] }, { version: 1, layers: [] }])(
  '%j is not an image of nix2container',
  async document => {
    expect(await read(document)).toBeUndefined()
  },
)

const path = (more: object) => ({ paths: [{ path: PATH, ...more }] })
const perm = (more: object) => path({ options: { perms: [{ regex: 'x', mode: '', uid: 0, gid: 0, ...more }] } })

test.each([
  ['no layers', image({ layers: [] })],
  ['501 layers', image({ layers: Array(501).fill(LAYER) })],
  ['no list of layers', image({ layers: {} })],
  ['an odd architecture', image({ arch: '../x' })],
  ['no architecture', image({ arch: undefined })],
  ['an invalid time', image({ created: 'now' })],
  ['an Env that is not a list', image({ 'image-config': { Env: 'A=1' } })],
  ['a label that is not text', image({ 'image-config': { Labels: { a: 1 } } })],
  ['a History that is not an object', image({}, { History: 1 })],
  ['an invalid digest', image({}, { digest: 'sha256:1' })],
  ['a digest of another kind', image({}, { diff_ids: `sha512:${'a'.repeat(128)}` })],
  ['two digests for one tar', image({}, { diff_ids: OTHER })],
  ['an unknown type', image({}, { mediatype: 'text/plain' })],
  ['a compressed layer without a file', image({}, { mediatype: `${TAR}+gzip` })],
  ['a path out of the store', image({}, path({ path: '/etc' }))],
  ['a path with dots', image({}, path({ path: `${PATH}/../../../etc` }))],
  ['a path below a store path', image({}, path({ path: `${PATH}/bin` }))],
  ['more than 100,000 paths', image({}, { paths: Array(50_001).fill({ path: PATH }), layers: 0 })],
  ['a mode that is not octal', image({}, perm({ mode: 'u+x' }))],
  ['an id below zero', image({}, perm({ uid: -1 }))],
  ['the reserved id', image({}, perm({ gid: 2 ** 32 - 1 }))],
  ['a name with NUL', image({}, perm({ uname: 'a\0' }))],
  ['a long regular expression', image({}, perm({ regex: 'x'.repeat(5000) }))],
  ['1001 permissions', image({}, path({ options: { perms: Array(1001).fill({ regex: 'x' }) } }))],
])('%s: ArchiveInvalid', async (title, document) => {
  const twice = title.startsWith('more than')
    ? { ...document, layers: [...document.layers, ...document.layers] }
    : document
  await expect(read(twice)).rejects.toMatchObject({ code: 'ArchiveInvalid' })
})

test('a base image without a config is rejected, with the way to use it', async () => {
  const error = { code: 'ArchiveInvalid', message: expect.stringMatching(/base image.*Use it as fromImage/) }
  await expect(read(image({ arch: '' }))).rejects.toMatchObject(error)
})

// nix2container's own GetConfigBlob printed the expected texts.
const ROOTFS = `"rootfs":{"type":"layers","diff_ids":["${DIGEST}"]}`
test.each([
  ['{}', { 'image-config': {} }, `{"architecture":"amd64","os":"linux","config":{},${ROOTFS},"history":[{}]}`],
  [
    'escapes',
    { 'image-config': { Cmd: ['a<b>&c\u2028\u007f"\\/\b\f\u0001é🦆\ud800'], Env: [], User: '' } },
    `{"architecture":"amd64","os":"linux","config":{"Cmd":["a\\u003cb\\u003e\\u0026c\\u2028\u007f\\"\\\\/\\b\\f\\u0001é🦆\ufffd"]},${ROOTFS},"history":[{}]}`,
  ],
  [
    'fields in order, keys by bytes, other cases, unknown fields',
    {
      created: '2024-02-29T23:59:59.120000+00:00',
      'image-config': {
        Labels: { z: '1', '10': 'x', '9': null, '🦆': 'd', '\uffff': 'f', constructor: 'c' },
        workingdir: '/w',
        ExposedPorts: { '80/tcp': null, '443': { x: 1 } },
        Healthcheck: {},
        Env: ['A=1', null],
      },
    },
    `{"created":"2024-02-29T23:59:59.12Z","architecture":"amd64","os":"linux","config":{"ExposedPorts":{"443":{},"80/tcp":{}},"Env":["A=1",""],"WorkingDir":"/w","Labels":{"10":"x","9":"","constructor":"c","z":"1","\uffff":"f","🦆":"d"}},${ROOTFS},"history":[{}]}`,
  ],
])('the config is the same as Go writes it: %s', async (_, more, expected) => {
  const found = await read(image(more))
  expect(found?.makeConfig({ diffIds: [DIGEST] }).toString()).toBe(expected)
})

test('a config for another number of layers, or with a base image, is rejected', async () => {
  const found = await read(image())
  expect(() => found?.makeConfig({ diffIds: [] })).toThrow('has 1 layers, of which 0 were found')
  const base = { config: Buffer.from('{}'), layerNames: [] }
  expect(() => found?.makeConfig({ diffIds: [DIGEST], base })).toThrow('layers')
})

test.each([
  ['1970-01-01T00:00:01Z', '1970-01-01T00:00:01Z'],
  ['2024-02-29T23:59:59.1234567891-05:30', '2024-02-29T23:59:59.123456789-05:30'],
  ['2024-01-01T00:00:00.000-00:00', '2024-01-01T00:00:00Z'],
  ['2024-01-01T0:00:00,50Z', '2024-01-01T00:00:00.5Z'],
  ['2023-02-29T00:00:00Z', undefined],
  ['2024-01-01T24:00:00Z', undefined],
  ['2024-01-01T00:00:00', undefined],
  ['2024-01-01t00:00:00Z', undefined],
])('Go prints the time %s as %s', (text, expected) => {
  expect(goTime(text)).toBe(expected)
})
