import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../shim/config/config.ts'
import { makeConfigPage } from './config-page.ts'
import { GENERATED_PAGES } from './pages.ts'

describe('the reference page', () => {
  it.each(GENERATED_PAGES.map(page => [basename(page.path), page] as const))(
    '%s is up to date; if not, `npm run reference` writes it',
    async (_name, { path, make }) => {
      await expect(readFile(path, 'utf8')).resolves.toBe(make())
    },
  )

  it('of the config has an example that is a config', () => {
    const [, example = ''] = /```yaml\n(.*?)```/s.exec(makeConfigPage()) ?? []
    expect(parseConfig(example, 'config.md').policy).toHaveLength(2)
  })
})
