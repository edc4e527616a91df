/** A table, of which no cell can break a row. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.map(escapeCell).join(' | ')} |`).join('\n')
}

export function code(text: string): string {
  return `\`${text}\``
}

/** A sentence of a fragment, as help texts have them. */
export function sentence(text: string): string {
  const start = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!…]$/.test(start) ? start : `${start}.`
}

const WIDTH = 100

/** Lines of at most 100 characters, unless a word is longer. */
export function wrap(text: string): string {
  const lines: string[] = []
  for (const word of text.split(/\s+/)) {
    const line = [...lines.slice(-1), word].join(' ')
    if (lines.length > 0 && line.length <= WIDTH) lines.splice(-1, 1, line)
    else lines.push(word)
  }
  return lines.join('\n')
}

function escapeCell(text: string): string {
  return escapeTags(text).replaceAll('|', '\\|').replaceAll('\n', ' ')
}

/** Outside of code `<system>` would be taken for HTML. */
export function escapeTags(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '\\<') : part))
    .join('`')
}
