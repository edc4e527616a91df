const MARK = '…'
/** Separates two parts that consist of whole lines. */
const LINE_MARK = `\n${MARK}\n`

/** The beginning of a sentence, at most `width` characters. */
export function cutEnd(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - MARK.length))}${MARK}`
}

/** Both ends of a name, at most `width` characters. The end of a name says more than its beginning. */
export function cutMiddle(text: string, width: number): string {
  return text.length <= width ? text : joinEnds(text, Math.max(0, width - MARK.length), MARK)
}

/** Both ends of a multi-line text, about `max` characters. The beginning says what failed, and the end says why. */
export function cutLines(text: string, max: number): string {
  return text.length <= max ? text : joinEnds(text, max, LINE_MARK)
}

function joinEnds(text: string, room: number, mark: string): string {
  const head = headOf(room)
  return text.slice(0, head) + mark + text.slice(text.length - (room - head))
}

/** A third of the room goes to the beginning. */
function headOf(room: number): number {
  return Math.floor(room / 3)
}

/** Like `cutLines`, but at most `max` bytes of UTF-8 and whole characters only. */
export function cutBytes(text: string, max: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= max) return bytes.toString()
  const room = max - Buffer.byteLength(LINE_MARK)
  const head = headOf(room)
  return wholeEnd(bytes.subarray(0, head)) + LINE_MARK + wholeStart(bytes.subarray(bytes.length - (room - head)))
}

function wholeStart(bytes: Buffer): string {
  let start = 0
  while (start < bytes.length && isInside(bytes[start])) start += 1
  return bytes.toString('utf8', start)
}

function wholeEnd(bytes: Buffer): string {
  let last = bytes.length - 1
  while (last > 0 && isInside(bytes[last])) last -= 1
  const isWhole = Buffer.from(bytes.toString('utf8', last)).equals(bytes.subarray(last))
  return bytes.toString('utf8', 0, isWhole ? bytes.length : last)
}

/** Whether the byte continues a character. */
function isInside(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}
