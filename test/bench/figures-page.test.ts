import { describe, expect, it } from 'vitest'
import { FIGURES } from '../../bench/figures.ts'
import { fillTables, formatGroup, readFiguresPage } from '../../bench/figures-page.ts'
import { readResults } from '../../bench/results.ts'

const page = await readFiguresPage()
const results = await readResults()

describe('the page of figures', () => {
  it('has the values of bench/results.json and the aims of bench/figures.ts (npm run figures writes them)', () => {
    expect(fillTables(page, results)).toBe(page)
  })

  it('has a table for each group', () => {
    const groups = [...page.matchAll(/<!-- figures (\w+) -->/g)].map(([, group]) => group)
    expect(groups.toSorted()).toEqual(Object.keys(FIGURES).toSorted())
  })

  it('rejects a table of a group that is not measured', () => {
    expect(() => fillTables('<!-- figures speed -->\n<!-- /figures -->', results)).toThrow('speed')
  })
})

describe('a table of figures', () => {
  const tableWith = (value: number) =>
    formatGroup('storm', { date: '2026-01-02', machine: '2 × processor', values: { 'rss.storm': value } })

  it('says whether a value meets its aim', () => {
    expect(tableWith(179.9)).toContain('| 179.9 MB | < 180 | met |')
    expect(tableWith(180)).toContain('| 180 MB | < 180 | **missed** |')
  })

  it('says when and on which machine the values were measured', () => {
    expect(tableWith(1)).toMatch(/\n2026-01-02, 2 × processor$/)
  })

  it('has no result for a figure that has no aim or no value', () => {
    const values = { 'import.linked.first.speedup': 30 }
    const table = formatGroup('import', { date: '2026-01-02', machine: '', values })
    expect(table).toContain('| `import.linked.first.speedup` | 30 | – | – |')
    expect(table).toContain('| `import.linked.changed` | – | < 100 | – |')
  })
})
