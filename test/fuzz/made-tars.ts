import fc from 'fast-check'

const BLOCK_BYTES = 512
const oneOf = <Value>(...values: Value[]) => fc.constantFrom(...values)

interface Header {
  readonly name: string
  readonly type: string
  readonly size: string
  readonly magic: string
  readonly prefix: string
  readonly body: Buffer
}

/** The end of a GNU header of a sparse file: the positions of its pieces and its size. */
const SPARSE_AT = 386
const sparseMap = Buffer.concat([
  Buffer.from('00000000000\0'),
  Buffer.from('00000001000\0'),
  Buffer.alloc(4 * 24 - 24),
  Buffer.from('\x00' + '00400000000\0'),
])

function block({ name, type, size, magic, prefix }: Header, at = 0): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES)
  bytes.write(name, 0, 100, 'latin1')
  bytes.write('0000644\x000000000\x000000000\0', 100, 'latin1')
  bytes.write(size, 124, 12, 'latin1')
  bytes.write('00000000001\0        ', 136, 'latin1')
  bytes.write(type, 156, 1, 'latin1')
  bytes.write(magic, 257, 8, 'latin1')
  if (type === 'S') sparseMap.copy(bytes, SPARSE_AT)
  else bytes.write(prefix, 345, 155, 'latin1')
  const sum = bytes.reduce((total, byte) => total + byte, 0) + at
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return bytes
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & (BLOCK_BYTES - 1))])
}

const record = fc
  .tuple(
    oneOf(
      'path',
      'size',
      'linkpath',
      'GNU.sparse.major',
      'GNU.sparse.minor',
      'GNU.sparse.map',
      'GNU.sparse.size',
      'GNU.sparse.realsize',
      'GNU.sparse.offset',
      'GNU.sparse.numbytes',
      'comment',
    ),
    oneOf('', '0', '1', '5', '512', '4096', '33554432', '0,5', '0,0', 'a/', 'a', '-1', '+5', '99999999999999999999'),
  )
  .map(([key, value]) => {
    const rest = ` ${key}=${value}\n`
    const length = rest.length + String(rest.length + 2).length
    return `${length}${rest}`
  })
const body = fc.oneof(
  fc.array(record, { maxLength: 4 }).map(records => Buffer.from(records.join(''))),
  oneOf('', 'a/', 'a\0', '1\n0\n5\n', '2\n0\n1\n33554431\n1\n').map(text => Buffer.from(text)),
  fc.uint8Array({ maxLength: 1200 }).map(bytes => Buffer.from(bytes)),
)

const entry = fc
  .record({
    name: oneOf('a', 'b/', '', 'dir/file', '././@LongLink', '..', '/etc/passwd', './'),
    type: oneOf(...'\0\x000012345567xxxgLKSSV\x80'),
    size: oneOf('right', 'right', 'right', 'right', 'none', 'more', 'binary', 'negative', 'text', 'huge'),
    magic: oneOf('ustar\x0000', 'ustar\x0000', 'ustar  \0', '', 'ustar\0'),
    prefix: oneOf('', '', 'p', 'GNU.sparse'),
    body,
    off: oneOf(0, 0, 0, 0, 0, 0, 0, 0, 1),
  })
  .map(({ size, off, ...header }) =>
    Buffer.concat([block({ ...header, size: sizeField(size, header.body.length) }, off), padded(header.body)]),
  )

function sizeField(kind: string, length: number): string {
  const octal = (size: number) => `${size.toString(8).padStart(11, '0')}\0`
  const binary = (first: number, ...rest: number[]) =>
    Buffer.from([
      first,
      ...Array.from({ length: 11 - rest.length }, () => (first === 0xff ? 0xff : 0)),
      ...rest,
    ]).toString('latin1')
  switch (kind) {
    case 'none':
      return octal(0)
    case 'more':
      return octal(length + 600)
    case 'binary':
      return binary(0x80, length >> 8, length & 0xff)
    case 'negative':
      return binary(0xff, 0x00)
    case 'huge':
      return binary(0x80, 0x7f, 0, 0, 0, 0, 0, 0, 0)
    case 'text':
      return ' 12 x'
    default:
      return octal(length)
  }
}

const end = oneOf(0, 1, 2, 2, 2, 3).map(blocks => Buffer.alloc(blocks * BLOCK_BYTES))
const whole = fc
  .tuple(fc.array(fc.oneof({ weight: 9, arbitrary: entry }, { weight: 1, arbitrary: end }), { maxLength: 6 }), end)
  .map(([entries, last]) => Buffer.concat([...entries, last]))
const cut = fc.tuple(whole, fc.nat(4000)).map(([bytes, length]) => bytes.subarray(0, length))
const changed = fc.tuple(whole, fc.nat(4000), fc.nat(255)).map(([bytes, at, byte]) => {
  const copy = Buffer.from(bytes)
  if (at < copy.length) copy[at] = byte
  return copy
})

/** Invalid tars with every kind of header, some of them damaged. */
export const madeTars: fc.Arbitrary<Buffer> = fc.oneof({ weight: 4, arbitrary: whole }, cut, changed)
