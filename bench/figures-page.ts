import { readFile, writeFile } from 'node:fs/promises'
import { type Aim, FIGURES, type Figure, type Group } from './figures.ts'
import { type GroupResult, type Results, readResults } from './results.ts'

const PAGE = new URL('../docs/reference/figures.md', import.meta.url)

export async function writeFiguresPage(): Promise<void> {
  await writeFile(PAGE, fillTables(await readFiguresPage(), await readResults()))
}

export function readFiguresPage(): Promise<string> {
  return readFile(PAGE, 'utf8')
}

const TABLE = /(<!-- figures (\w+) -->\n)[\s\S]*?(<!-- \/figures -->)/g

/** Replaces the table of each group in the page; the text around the tables stays. */
export function fillTables(page: string, results: Results): string {
  return page.replace(TABLE, (_all, start: string, group: string, end: string) => {
    if (!isGroup(group)) throw new Error(`the page has a table for ${group}, which is not measured`)
    return `${start}${formatGroup(group, results[group])}\n${end}`
  })
}

export function isGroup(name: string): name is Group {
  return Object.hasOwn(FIGURES, name)
}

/** A Markdown table, and when and where its values were measured. */
export function formatGroup(group: Group, result: GroupResult | undefined): string {
  const figures: [string, Figure][] = Object.entries(FIGURES[group])
  const rows = figures.map(([name, figure]) => formatRow(name, figure, result?.values[name]))
  const table = ['| figure | value | aim | result | meaning |', '|---|---|---|---|---|', ...rows].join('\n')
  return `${table}\n\n${result === undefined ? 'Not measured yet.' : `${result.date}, ${result.machine}`}`
}

function formatRow(name: string, { unit, aim, meaning }: Figure, value: number | undefined): string {
  const amount = value === undefined ? '–' : [value, unit].join(' ').trim()
  return `| \`${name}\` | ${amount} | ${aim ?? '–'} | ${formatOutcome(aim, value)} | ${meaning} |`
}

function formatOutcome(aim: Aim | undefined, value: number | undefined): string {
  if (aim === undefined || value === undefined) return '–'
  return meetsAim(value, aim) ? 'met' : '**missed**'
}

function meetsAim(value: number, aim: Aim): boolean {
  const [comparison, limit] = aim.split(' ')
  const bound = Number(limit)
  switch (comparison) {
    case '<':
      return value < bound
    case '<=':
      return value <= bound
    case '>=':
      return value >= bound
    default:
      return value === bound
  }
}
