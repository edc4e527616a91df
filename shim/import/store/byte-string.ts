import { quote } from '../../../lib/text/quote.ts'
import { archiveInvalid } from '../image/errors.ts'

/**
 * Bytes as a string, one character for each (latin1). Names in the store are bytes, and strings of this kind are
 * quicker to join, compare and write than buffers.
 */
export type ByteString = string

/** The bytes of the text in UTF-8. Throws ArchiveInvalid when it has surrogates without their other half. */
export function bytesOf(text: string): ByteString {
  if (!text.isWellFormed()) throw archiveInvalid(`holds text that is no Unicode: ${quote(text)}`)
  return Buffer.from(text, 'utf8').toString('latin1')
}

export function isAscii(bytes: ByteString): boolean {
  return !/[\x80-\xff]/.test(bytes)
}
