const MARK = '…'

/** The end goes: of a sentence. */
export function cutEnd(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - MARK.length))}${MARK}`
}

/** The middle goes: of a name, whose end says more than its beginning. */
export function cutMiddle(text: string, width: number): string {
  if (text.length <= width) return text
  const room = Math.max(0, width - MARK.length)
  const head = Math.floor(room / 3)
  return `${text.slice(0, head)}${MARK}${text.slice(text.length - (room - head))}`
}
