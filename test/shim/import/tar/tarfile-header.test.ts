import { join } from 'node:path'
import * as v from 'valibot'
import { beforeAll, expect, test } from 'vitest'
import { type HeaderFields, tarfileHeader } from '../../../../shim/import/tar/header.ts'
import { runPython } from '../../../node/python.ts'

const PLAIN: HeaderFields = {
  type: 'file',
  name: '/nix/store/file',
  mode: 0o444,
  uid: 0,
  gid: 0,
  size: 1,
  mtime: 1,
  linkName: '',
  uname: 'root',
  gname: 'root',
}
const utf8 = (text: string) => Buffer.from(text, 'utf8').toString('latin1')
const n = (length: number) => 'n'.repeat(length)

const NOTHING_FITS: HeaderFields = {
  type: 'symlink',
  name: `${n(200)}\xff`,
  mode: 0o777,
  uid: 3_000_000,
  gid: 3_000_001,
  size: 9 * 1024 ** 3,
  mtime: -1,
  linkName: utf8('é'),
  uname: utf8('ü'),
  gname: n(40),
}

const CASES: [what: string, blocks: number, fields: Partial<HeaderFields>][] = [
  ['a plain file', 1, {}],
  ['a folder', 1, { type: 'directory', name: '/nix/', mode: 0o755, size: 0 }],
  ['a symlink', 1, { type: 'symlink', mode: 0o777, size: 0, linkName: '../target' }],
  ['setuid, setgid and sticky bits', 1, { mode: 0o7777 }],
  ['a name of 99 characters', 1, { name: n(99) }],
  ['a name of 100 characters', 1, { name: n(100) }],
  ['a name of 101 characters', 3, { name: n(101) }],
  ['a name of 101 characters with a slash to split it at', 3, { name: `${n(50)}/${n(50)}` }],
  ['a folder whose slash is character 101', 3, { type: 'directory', name: `${n(100)}/` }],
  ['a name of 4,000 characters', 10, { name: n(4_000) }],
  ['a link name of 100 characters', 1, { type: 'symlink', linkName: n(100) }],
  ['a link name of 101 characters', 3, { type: 'symlink', linkName: n(101) }],
  ['a long name and a long link name', 3, { type: 'symlink', name: n(150), linkName: n(160) }],
  ['a name beyond ASCII', 3, { name: utf8('/nix/naïve') }],
  ['a name beyond the BMP', 3, { name: utf8('/nix/🦆🦆') }],
  ['a name of 100 characters, more in bytes', 3, { name: utf8('é'.repeat(100)) }],
  ['a name of 110 characters, cut after the 100th', 3, { name: utf8(`${'é'.repeat(99)}${n(11)}`) }],
  ['a name that is not UTF-8', 3, { name: '/nix/\xff\xc3' }],
  ['a name that is not UTF-8 and cut within a sequence', 3, { name: `${n(98)}\xe2\x82${utf8('€')}\xf0` }],
  ['a link name that is not UTF-8, beside a name that is', 3, { name: utf8('é'), linkName: '\x80', type: 'symlink' }],
  // The length of a record counts its own digits.
  ...[82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92].map((length): (typeof CASES)[number] => [
    `a record of around 100 bytes: ${length}`,
    3,
    { name: utf8('é') + n(length) },
  ]),
  ...[980, 981, 982, 983, 984, 985, 986, 987, 988, 989, 990, 991].map((length): (typeof CASES)[number] => [
    `a record of around 1,000 bytes: ${length}`,
    4,
    { name: n(length) },
  ]),
  ['a user of 32 characters', 1, { uname: n(32) }],
  ['a user of 33 characters', 3, { uname: n(33) }],
  ['a group beyond ASCII', 3, { gname: utf8('Käthe') }],
  ['the greatest ids that fit', 1, { uid: 2_097_151, gid: 2_097_151 }],
  ['an uid that does not fit', 3, { uid: 2_097_152 }],
  ['a gid that does not fit', 3, { gid: 4_294_967_294 }],
  ['an uid below zero', 3, { uid: -2 }],
  ['the greatest size that fits', 1, { size: 8 * 1024 ** 3 - 1 }],
  ['a size of 8 GiB', 3, { size: 8 * 1024 ** 3 }],
  ['the last second that fits', 1, { mtime: 8 * 1024 ** 3 - 1 }],
  ['a later second', 3, { mtime: 8 * 1024 ** 3 }],
  ['a second before 1970', 3, { mtime: -1 }],
  ['all fields that do not fit together', 3, NOTHING_FITS],
]

let expected: string[]
beforeAll(async () => {
  const hex = (text: string) => Buffer.from(text, 'latin1').toString('hex')
  const input = CASES.map(([, , fields]) => ({ ...PLAIN, ...fields })).map(fields => ({
    ...fields,
    name: hex(fields.name),
    linkName: hex(fields.linkName),
    uname: hex(fields.uname),
    gname: hex(fields.gname),
  }))
  const program = join(import.meta.dirname, 'tarfile-header.py')
  const answer = await runPython(program, [], JSON.stringify(input))
  expected = v.parse(v.array(v.string()), JSON.parse(answer))
})

test.each(CASES.map(([what, blocks, fields], index) => ({ what, blocks, fields, index })))(
  '$what: $blocks blocks, as tarfile makes them',
  ({ blocks, fields, index }) => {
    const header = tarfileHeader({ ...PLAIN, ...fields })
    expect(header.toString('hex')).toBe(expected[index])
    expect(header.length).toBe(blocks * 512)
  },
)
