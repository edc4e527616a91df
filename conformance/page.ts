import { readFile, writeFile } from 'node:fs/promises'
import type { Results, Section } from './results.ts'

const PAGE = new URL('../docs/reference/conformance.md', import.meta.url)

export function readPage(): Promise<string> {
  return readFile(PAGE, 'utf8')
}

export async function writePage(results: Results): Promise<void> {
  await writeFile(PAGE, fillSections(await readPage(), results))
}

const SECTION = /(<!-- conformance (\w+) -->\n)[\s\S]*?(<!-- \/conformance -->)/g

/** Replaces the table of each section. The text around the tables stays. */
export function fillSections(page: string, results: Results): string {
  return page.replace(
    SECTION,
    (_all, start: string, name: string, end: string) => `${start}${formatSection(results[name])}\n${end}`,
  )
}

function formatSection(section: Section | undefined): string {
  if (section === undefined) return 'Not run yet.'
  const { date, versions, columns, rows, problems } = section
  const table = [columns, columns.map(() => '---'), ...rows.map(row => row.map(escapeCell))]
  const lines = table.map(cells => `| ${cells.join(' | ')} |`)
  const found = problems.map(problem => `- **Not as promised**: ${problem.replaceAll(/\s+/g, ' ')}`)
  return [lines.join('\n'), ...(found.length > 0 ? [found.join('\n')] : []), `${date}, ${versions}`].join('\n\n')
}

function escapeCell(cell: string): string {
  return cell.replaceAll('|', '\\|')
}
