import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { SLOW_FILES } from './slow-files.ts'

test('the files that are to run first exist', () => {
  expect(SLOW_FILES.filter(file => !existsSync(join(import.meta.dirname, '../..', file)))).toEqual([])
})
