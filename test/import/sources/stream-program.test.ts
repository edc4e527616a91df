import { expect, it } from 'vitest'
import { recogniseStreamProgram } from '../../../shim/import/sources/stream-program.ts'
import { NEWER_PROGRAM, OLDER_PROGRAM } from './stream-store.ts'

it('the newer program makes /nix 0755, and has owner and time in its conf', () => {
  expect(recogniseStreamProgram(NEWER_PROGRAM)).toEqual({ rootMode: 0o755, hasOwner: true, hasMtime: true })
})

it('the older program makes /nix 0555, owned by root, at the time of the image', () => {
  expect(recogniseStreamProgram(OLDER_PROGRAM)).toEqual({ rootMode: 0o555, hasOwner: false, hasMtime: false })
})

it('owners came into the conf before times did', () => {
  const between = OLDER_PROGRAM.replace('ti.uid = 0', 'uid = int(conf["uid"])')
  expect(recogniseStreamProgram(between)).toEqual({ rootMode: 0o555, hasOwner: true, hasMtime: false })
})

it('spaces and line ends do not matter', () => {
  const other = NEWER_PROGRAM.replace(/\n/g, '\n\n').replace(/ = /g, '  =\n  ')
  expect(recogniseStreamProgram(other)).toEqual(recogniseStreamProgram(NEWER_PROGRAM))
})

it.each([
  ['0o0755', '0o0777'],
  ['ti.mode =', 'ti.other ='],
  ['sorted(files)', 'files'],
  ['indent=4', 'indent=2'],
  ['"/nix/store"', '"/other/store"'],
  ['path.is_symlink()', 'False'],
  ['conf["from_image"]', 'conf["base_layers"]'],
  ['conf["uid"]', 'conf["user"]'],
  ['conf["mtime"]', 'conf["time"]'],
  ['uid = int', 'ti.uid = 0\nuid = int'],
])('a program with other text than %s is not known', (known, other) => {
  expect(recogniseStreamProgram(NEWER_PROGRAM.replace(known, other))).toBeUndefined()
})
