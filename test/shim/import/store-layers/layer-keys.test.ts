import { expect, test } from 'vitest'
import type { StorePathInfo } from '../../../../recipes/store-path.ts'
import {
  CURRENT_FORM,
  type FilesLayer,
  inAllForms,
  type MergedLayer,
  ROOT,
  type StorePathLayer,
} from '../../../../shim/import/image/store-image.ts'
import { linkedDigest } from '../../../../shim/import/store-layers/compute-digests.ts'
import { fileKey, tarKey } from '../../../../shim/import/store-layers/layer-keys.ts'

const [ONE, TWO] = ['one', 'two'].map(name => `/nix/store/${'0'.repeat(32)}-${name}`) as [string, string]
const PERM = { regex: 'x', mode: '0644', uid: 1, gid: 2, uname: 'u', gname: 'g' }

const STORE: StorePathLayer = { paths: [ONE, TWO], owner: ROOT, mtime: 1, rootMode: 0o755 }
const MERGED: MergedLayer = {
  paths: [
    { path: ONE, rewrite: { regex: '^/nix', repl: '' }, perms: [PERM] },
    { path: TWO, perms: [] },
  ],
  form: CURRENT_FORM,
}

const infosOf = (more: Partial<StorePathInfo> = {}) =>
  new Map([ONE, TWO].map(path => [path, { path, narHash: 'a'.repeat(64), narSize: 100, references: [], ...more }]))

const merged = (more: Partial<MergedLayer['paths'][number]>): MergedLayer => {
  const [first, ...others] = MERGED.paths
  return first ? { ...MERGED, paths: [{ ...first, ...more }, ...others] } : MERGED
}

const LAYERS: readonly [string, FilesLayer][] = [
  ['store paths', STORE],
  ['fewer paths', { ...STORE, paths: [TWO] }],
  ['another order of the paths', { ...STORE, paths: [TWO, ONE] }],
  ['another time', { ...STORE, mtime: 2 }],
  ['another owner', { ...STORE, owner: { ...ROOT, uid: 1 } }],
  ["another owner's name", { ...STORE, owner: { ...ROOT, uname: 'nobody' } }],
  ['another root mode', { ...STORE, rootMode: 0o555 }],
  ['merged paths', MERGED],
  ['merged paths without options', { ...MERGED, paths: [ONE, TWO].map(path => ({ path, perms: [] })) }],
  ['another regular expression', merged({ rewrite: { regex: '^/ni', repl: '' } })],
  ['another replacement', merged({ rewrite: { regex: '^/nix', repl: '/' } })],
  ['no replacement', merged({ rewrite: undefined })],
  ['another mode', merged({ perms: [{ ...PERM, mode: '0645' }] })],
  ['another user', merged({ perms: [{ ...PERM, uid: 3 }] })],
  ['another group', merged({ perms: [{ ...PERM, gid: 3 }] })],
  ['other files with permissions', merged({ perms: [{ ...PERM, regex: 'y' }] })],
  ['permissions twice', merged({ perms: [PERM, PERM] })],
  ['a form of before', inAllForms(MERGED).at(-1) ?? MERGED],
]

test('each layer has its own key and linked digest', () => {
  const infos = infosOf()
  expect(new Set(LAYERS.map(([, layer]) => tarKey(layer, infos))).size).toBe(LAYERS.length)
  expect(new Set(LAYERS.map(([, layer]) => linkedDigest(layer, infos).digest)).size).toBe(LAYERS.length)
})

test.each(LAYERS)('%s: other content of a store path makes another key and digest', (_, layer) => {
  const [before, after] = [infosOf(), infosOf({ narHash: 'b'.repeat(64) })]
  expect(tarKey(layer, before)).not.toBe(tarKey(layer, after))
  expect(linkedDigest(layer, before)).not.toEqual(linkedDigest(layer, after))
  expect(linkedDigest(layer, before)).toEqual(linkedDigest(layer, infosOf()))
})

test('a file has a key by its path and its store path’s content', () => {
  const keys = [
    fileKey(`${ONE}/a`, ONE, infosOf()),
    fileKey(`${ONE}/b`, ONE, infosOf()),
    fileKey(`${ONE}/a`, ONE, infosOf({ narHash: 'b'.repeat(64) })),
  ]
  expect(new Set(keys).size).toBe(3)
})

test('a path that Nix was not asked about is an internal error', () => {
  expect(() => tarKey(STORE, new Map())).toThrow('Nix was not asked')
})

test('group names make another form only if they matter', () => {
  expect(inAllForms(MERGED)).toHaveLength(3)
  expect(inAllForms(merged({ perms: [{ ...PERM, gname: 'u' }] }))).toHaveLength(2)
  expect(inAllForms(merged({ perms: [{ ...PERM, gname: '' }] }))).toHaveLength(2)
})
