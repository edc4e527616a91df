import { cutEnd, cutMiddle } from './cut.ts'

const GAP = '  '
/** No column is narrowed below this width to make room for others. */
const LEAST_WIDTH = 6

/**
 * Lines with aligned columns; the last column is not padded. If a line does not fit `width`, the widest columns shrink:
 * names lose their middle, and the last column, which may be a sentence, loses its end.
 */
export function alignColumns(rows: readonly (readonly string[])[], width = Infinity): string[] {
  const natural = rows.reduce<number[]>(
    (widest, row) => row.map((cell, index) => Math.max(cell.length, widest[index] ?? 0)),
    [],
  )
  const widths = narrow(natural, width - GAP.length * (natural.length - 1))
  return rows.map(row =>
    row
      .map((cell, index) => {
        const [width = 0, cut] = [widths[index], index < row.length - 1 ? cutMiddle : cutEnd]
        return cut(cell, width).padEnd(width)
      })
      .join(GAP)
      .trimEnd(),
  )
}

function narrow(natural: readonly number[], room: number): number[] {
  const widths = [...natural]
  let excess = widths.reduce((sum, width) => sum + width, 0) - room
  for (; excess > 0; excess -= 1) {
    const widest = Math.max(...widths)
    if (widest <= LEAST_WIDTH) break
    widths[widths.indexOf(widest)] = widest - 1
  }
  return widths
}
