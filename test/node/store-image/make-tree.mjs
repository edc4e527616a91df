// The builder of a tree of files: `make-tree.mjs many SEED FILES BYTES`, `make-tree.mjs odd`,
// `make-tree.mjs whiteouts` or `make-tree.mjs sparse BYTES`.
import { createCipheriv } from 'node:crypto'
import { linkSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const FILES_IN_FOLDER = 20
const out = process.env.out
const [what, ...numbers] = process.argv.slice(2)
mkdirSync(out)
if (what === 'odd') makeOdd()
else if (what === 'whiteouts') makeWhiteouts()
else if (what === 'sparse') makeSparse(...numbers.map(Number))
else makeMany(...numbers.map(Number))

/** Files of noise, no two alike, twenty in a folder, with a symlink in each. */
function makeMany(seed, files, bytes) {
  const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16, 1))
  const zeros = Buffer.alloc(bytes)
  for (let n = 0; n < files; n += 1) {
    const folder = join(out, 'share', `folder-${Math.floor(n / FILES_IN_FOLDER)}`)
    if (n % FILES_IN_FOLDER === 0) {
      mkdirSync(folder, { recursive: true })
      symlinkSync(`file-${n}`, join(folder, 'first'))
    }
    writeFileSync(join(folder, `file-${n}`), noise.update(zeros), { mode: n % 10 === 0 ? 0o755 : 0o644 })
  }
}

/** Names that a tar has for files that are deleted. */
function makeWhiteouts() {
  for (const folder of ['a', 'b']) mkdirSync(join(out, folder))
  for (const name of ['.wh.gone', 'a/.wh..wh..opq', 'a/kept', 'b/.wh.file']) writeFileSync(join(out, name), name)
}

function makeSparse(bytes) {
  writeFileSync(join(out, 'sparse'), 'begins')
  truncateSync(join(out, 'sparse'), bytes)
}

function makeOdd() {
  const file = (name, content = name) => writeFileSync(join(out, name), content)
  const bytes = name => Buffer.concat([Buffer.from(`${out}/`), name])
  for (const length of [99, 100, 101, 255]) file('n'.repeat(length))
  for (const name of ['ünïcödé', '日本語', 'a b', 'a', 'a-b', 'a.b', '.hidden', 'quote\'"', 'new\nline']) file(name)
  writeFileSync(bytes(Buffer.from([0x62, 0xff, 0xfe])), 'a name that is no UTF-8')
  file('empty', '')
  for (const size of [511, 512, 513]) file(`size-${size}`, Buffer.alloc(size, 1))
  writeFileSync(join(out, 'program'), '#!/bin/sh\n', { mode: 0o755 })
  linkSync(join(out, 'program'), join(out, 'program-again'))
  mkdirSync(join(out, 'empty-folder'))
  mkdirSync(join(out, Array.from({ length: 40 }, (_, n) => `deep-${n}`).join('/')), { recursive: true })
  symlinkSync('a', join(out, 'link-1'))
  symlinkSync('link-1', join(out, 'link-2'))
  symlinkSync('nowhere', join(out, 'dangling'))
  symlinkSync(`${'up/'.repeat(60)}ünïcödé`, join(out, 'long-link'))
  symlinkSync('empty-folder', join(out, 'link-to-folder'))
}
