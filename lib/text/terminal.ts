/**
 * Removes terminal escapes (ECMA-48) in linear time. Node's `stripVTControlCharacters` takes quadratic time for escapes
 * without an end.
 */
export function withoutEscapes(text: string): string {
  const kept: string[] = []
  let from = 0
  while (from < text.length) {
    const start = nextIntroducer(text, from)
    kept.push(text.slice(from, start))
    from = start === text.length ? start : afterEscape(text, start)
  }
  return kept.join('')
}

function nextIntroducer(text: string, from: number): number {
  let at = from
  while (at < text.length && !isIntroducer(text.charCodeAt(at))) at += 1
  return at
}

/** ESC, or a single character that stands for ESC and another: DCS, SOS, CSI, ST, OSC, PM, APC. */
function isIntroducer(code: number): boolean {
  return code === ESC || code === 0x90 || code === 0x98 || (code >= 0x9b && code <= 0x9f)
}

const ESC = 0x1b
const BEL = 0x07

/** Index after the escape that begins at `start`. */
function afterEscape(text: string, start: number): number {
  const isPair = text.charCodeAt(start) === ESC
  const kind = isPair ? text.charCodeAt(start + 1) : text.charCodeAt(start) - 0x40
  const body = start + (isPair ? 2 : 1)
  switch (String.fromCharCode(kind)) {
    case '[':
      return afterFinal(text, skip(text, body, 0x30, 0x3f), 0x40)
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_':
      return afterString(text, body)
    default:
      return isPair ? afterFinal(text, start + 1, 0x30) : body
  }
}

/** Skips any number of characters between `least` and `most`. */
function skip(text: string, from: number, least: number, most: number): number {
  let at = from
  while (text.charCodeAt(at) >= least && text.charCodeAt(at) <= most) at += 1
  return at
}

/** Skips intermediate characters and the final one. Anything else is left in the text. */
function afterFinal(text: string, from: number, least: number): number {
  const at = skip(text, from, 0x20, 0x2f)
  const code = text.charCodeAt(at)
  return code >= least && code <= 0x7e ? at + 1 : at
}

/** Ends with BEL or ST, and at the latest at the end of the line or where another escape begins. */
function afterString(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === BEL || code === 0x9c) return at + 1
    if (code === ESC) return text.charAt(at + 1) === '\\' ? at + 2 : at
    if (code === 0x0a || code === 0x0d) return at
  }
  return text.length
}

/**
 * Whether lines can be redrawn in place. A terminal that does not report its size, as with `docker exec -t`, cannot.
 */
export function isRedrawable({ isTTY, columns }: { readonly isTTY?: boolean; readonly columns?: number }): boolean {
  return isTTY === true && columns !== undefined && columns > 0
}
