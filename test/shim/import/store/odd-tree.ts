import { chmodSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'

/** Names are bytes, one character for each. */
const bytes = (name: string) => Buffer.from(name, 'latin1')
const utf8 = (text: string) => Buffer.from(text, 'utf8').toString('latin1')

/**
 * Makes store paths with everything that a store path may have, and more, in a reproducible way. Returns the paths of a layer.
 */
export function makeOddTree(store: string): readonly string[] {
  const root = `${store}/0c0i8m2c7gqvvpsn6wpa8s4wnb5k2y1x-odd`
  const at = (name: string) => bytes(`${root}/${name}`)
  const file = (name: string, size: number) => writeFileSync(at(name), content(size))
  const folder = (name: string) => mkdirSync(at(name), { recursive: true })
  const link = (name: string, target: string) => symlinkSync(bytes(target), at(name))
  /** Makes a name so that the whole path has `length` bytes. */
  const long = (length: number, start = '') => start + 'n'.repeat(length - root.length - 1 - start.length)

  folder('')
  for (const size of [0, 1, 511, 512, 513, 1024, 9_728, 10_240, 1_100_000]) file(`size-${size}`, size)
  for (const length of [99, 100, 101]) {
    file(long(length, 'file-'), 3)
    folder(long(length, 'folder-'))
    link(long(length, 'link-'), 'size-1')
    link(`target-${length}`, 't'.repeat(length))
  }
  link('target-4000', 't/'.repeat(2_000))
  file(`${'w'.repeat(250)}`, 4)
  for (const text of ['naïve', '日本語', '🦆', '\uffff', '\ue000', '\ud7ff', '\u{10000}']) {
    file(utf8(text), 5)
    link(utf8(`link-${text}`), utf8(text))
  }
  for (const name of INVALID) {
    file(name, 6)
    folder(`folder-${name}`)
    file(`folder-${name}/${utf8('é')}`, 7)
    link(`link-${name}`, name)
    link(`long-${name}`, name.repeat(60))
  }
  file(utf8(`${'é'.repeat(40)}-${'e'.repeat(40)}`), 8)
  for (const name of ['a', 'a/b', 'a/b/c', 'a/b-c', 'a-', 'a.', 'A', 'ab', 'a b']) folder(name)
  for (const name of ['a-b', 'a.b', 'a/.hidden', 'a/b/c.d', 'a/b/-', '~', ' ', 'new\nline', 'back\\slash'])
    file(name, 9)
  for (const mode of [0o444, 0o555, 0o755, 0o4755, 0o2755, 0o6711, 0o1644, 0]) {
    file(`mode-${mode.toString(8)}`, 2)
    chmodSync(at(`mode-${mode.toString(8)}`), mode)
    folder(`folder-mode-${mode.toString(8)}`)
    chmodSync(at(`folder-mode-${mode.toString(8)}`), mode)
  }
  link('chain-1', 'chain-2')
  link('chain-2', './chain-3')
  link('chain-3', 'a/../size-1')
  link('loop', 'loop')
  link('dangling', '/nix/store/nowhere')
  link('to-folder', 'a')
  link('out', '/')
  linkSync(at('size-513'), at('a/hard'))
  linkSync(at('size-513'), at('zz-hard'))
  linkSync(at('chain-1'), at('hard-symlink'))
  folder(Array.from({ length: 60 }, (_, depth) => `depth-of-${depth}`).join('/'))
  file(`${Array.from({ length: 60 }, (_, depth) => `depth-of-${depth}`).join('/')}/bottom`, 10)
  return [root, ...makeOddPaths(store)]
}

/** Store paths that are files or empty folders. */
function makeOddPaths(store: string): string[] {
  const at = (name: string) => `${store}/7zz9k3ilh4a0hpqzcxgyb4lp7pax1mwr-${name}`
  writeFileSync(at('file'), content(700), { mode: 0o444 })
  symlinkSync('nowhere', at('dangling'))
  symlinkSync(store, at('to-folder'))
  mkdirSync(at('empty'))
  writeFileSync(at('ümlaut'), content(1))
  return [at('to-folder'), at('file'), at('empty'), at('ümlaut'), at('dangling')]
}

/** Not UTF-8: stray bytes, cut sequences, overlong ones, a surrogate, beyond Unicode. */
const INVALID = [
  '\x80',
  '\xff',
  '\xe2\x82',
  '\xc3',
  'a\xe2\x82z',
  '\xc0\xaf',
  '\xed\xa0\x80',
  '\xf4\x90\x80\x80',
  '\xfe\xc3\xa9',
]

function content(size: number): Buffer {
  return Buffer.alloc(size, 'The quick brown fox jumps over the lazy dog.\n')
}
