import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runChecks } from '../../../shim/doctor/run-checks.ts'

describe('a check that throws', () => {
  it('fails, and the others continue', async () => {
    const broken = () => {
      throw new Error('the disk is on fire')
    }
    const found = []
    const checks = [
      { name: 'one', look: broken },
      { name: 'two', look: () => ({ outcome: 'ok', text: 'fine' }) as const },
    ]
    for await (const finding of runChecks(checks)) found.push(finding)
    expect(found).toEqual([
      { check: 'one', outcome: 'failed', text: 'the disk is on fire', wayOut: expect.any(String) },
      { check: 'two', outcome: 'ok', text: 'fine' },
    ])
  })
})

/** Outside of comments. */
const POINTER = /^(?!\s*(?:\/\/|\/?\*)).*docs\/[\w/-]+\.md/m

it('no message of the shim points to a page, because the package has no pages', async () => {
  const folder = join(import.meta.dirname, '../../../shim')
  for (const name of await readdir(folder, { recursive: true })) {
    if (name.endsWith('.ts')) expect(await readFile(join(folder, name), 'utf8'), name).not.toMatch(POINTER)
  }
})
