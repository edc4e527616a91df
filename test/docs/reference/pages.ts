import { join } from 'node:path'
import { makeCliPage } from './cli-page.ts'
import { makeConfigPage } from './config-page.ts'
import { makeMetricsPage } from './metrics-page.ts'
import { makeNixNodePage } from './nixnode-page.ts'

const FOLDER = join(import.meta.dirname, '../../../docs/reference')

export interface GeneratedPage {
  readonly path: string
  make(): string
}

/** Pages that are made from what they describe. */
export const GENERATED_PAGES: readonly GeneratedPage[] = [
  { path: join(FOLDER, 'cli.md'), make: makeCliPage },
  { path: join(FOLDER, 'config.md'), make: makeConfigPage },
  { path: join(FOLDER, 'metrics.md'), make: makeMetricsPage },
  { path: join(FOLDER, 'nixnode.md'), make: makeNixNodePage },
]
