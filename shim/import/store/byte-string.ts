import { quote } from '../../../lib/text/quote.ts'
import { archiveInvalid } from '../image/errors.ts'

/**
 * Bytes as a string, one character for each (latin1). Names in the store are bytes, and such strings are faster to join, compare
 * and write than buffers.
 */
export type ByteString = string

/** The bytes of the text in UTF-8. Throws ArchiveInvalid for a surrogate without its other half. */
export function bytesOf(text: string): ByteString {
  if (!text.isWellFormed()) throw archiveInvalid(`holds text that is not Unicode: ${quote(text)}`)
  return Buffer.from(text, 'utf8').toString('latin1')
}

export function isAscii(bytes: ByteString): boolean {
  return !/[\x80-\xff]/.test(bytes)
}

/**
 * The characters that Python decodes bytes to as UTF-8 with the error handler `surrogateescape` (PEP 383): each well-formed
 * sequence is one character, and so is each other byte, which becomes U+DC00 + byte.
 */
const CHARACTER = new RegExp(
  [
    '[\xc2-\xdf][\x80-\xbf]',
    '\xe0[\xa0-\xbf][\x80-\xbf]',
    '[\xe1-\xec\xee\xef][\x80-\xbf]{2}',
    '\xed[\x80-\x9f][\x80-\xbf]',
    '\xf0[\x90-\xbf][\x80-\xbf]{2}',
    '[\xf1-\xf3][\x80-\xbf]{3}',
    '\xf4[\x80-\x8f][\x80-\xbf]{2}',
    '[\x80-\xff]',
  ].join('|'),
  'g',
)

/** As Python encodes the text to ASCII with the error handler `replace`: one byte for each character. */
export function toAscii(bytes: ByteString): ByteString {
  return bytes.replace(CHARACTER, '?')
}

/** Whether no byte had to be escaped. */
export function isUtf8(bytes: ByteString): boolean {
  return !bytes.match(CHARACTER)?.some(isEscaped)
}

/** Sorts by code point as the texts do: by bytes, except for the escaped ones. */
export function sortKey(bytes: ByteString): string {
  return bytes.replace(CHARACTER, character => (isEscaped(character) ? surrogateBytes(character) : character))
}

function isEscaped(character: ByteString): boolean {
  return character.length === 1
}

/** The surrogate in UTF-8, although that is not allowed. */
function surrogateBytes(byte: ByteString): ByteString {
  const codePoint = 0xdc00 + byte.charCodeAt(0)
  return String.fromCharCode(0xe0 | (codePoint >> 12), 0x80 | ((codePoint >> 6) & 0x3f), 0x80 | (codePoint & 0x3f))
}
