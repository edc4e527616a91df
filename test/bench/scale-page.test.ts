import { expect, it } from 'vitest'
import { readResults } from '../../bench/results.ts'
import { fillScale, readScalePage } from '../../bench/scale-page.ts'

it('the page about scale has what follows from bench/results.json (npm run figures writes it)', async () => {
  const page = await readScalePage()
  expect(fillScale(page, await readResults())).toBe(page)
})

it('the page about scale works out the costs of a large cluster', () => {
  const values = {
    'fleet.rest.writes': 1,
    'fleet.rest.cpu': 3,
    'fleet.herd.cpu': 8,
    'fleet.catchup.cpu': 96,
  }
  const fleet = { date: '2026-01-02', machine: '2 × processor', values }
  const page = fillScale('<!-- scale -->\n<!-- /scale -->', { fleet })
  expect(page).toContain('| a node that builds a recipe for one Pod | 40 ms in all |')
  expect(page).toContain('| at rest | 83 renewals of Leases a second | 0.25 |')
  expect(page).toContain(
    '| all nodes build one recipe at the same time | one write a second from each node at most | 200 s in all |',
  )
  expect(page).toContain('| 200 a second for 13 minutes | 0.8 |')
})
