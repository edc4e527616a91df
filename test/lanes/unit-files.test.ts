import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findUnitFiles } from './unit-files.ts'

let top: string
beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'enbi-lanes-'))
})
afterEach(() => rm(top, { recursive: true }))

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(top, dirname(name)), { recursive: true })
    await writeFile(join(top, name), text)
  }
}

describe('a test file is a unit test', () => {
  it.each([
    ['when it imports only sources', "import { a } from '../../shim/a.ts'\n"],
    ['when it imports only types of what starts programs', "import type { ChildProcess } from 'node:child_process'\n"],
    ['when it mentions execa in a text', "const text = 'import { execa } from execa'\n"],
  ])('%s', async (_, text) => {
    await write({ 'test/x/a.test.ts': text, 'shim/a.ts': "import { spawn } from 'node:child_process'\n" })
    expect(findUnitFiles(top)).toEqual(['test/x/a.test.ts'])
  })
})

// Otherwise this file would itself count as one that loads execa.
const EXECA = "'execa'"

describe('a test file is an integration test', () => {
  it.each([
    ['when it starts programs by execa', "import { execa } from 'execa'\n"],
    ['when it starts programs by Node', "import {\n  type ChildProcess,\n  spawn,\n} from 'node:child_process'\n"],
    ['when it loads execa late', `const { execa } = await import(${EXECA})\n`],
    ['when a helper starts programs', "import { run } from './helper.ts'\n"],
    ['when a helper passes on what starts programs', "export { run } from '../helpers.ts'\n"],
    ['when it says that it needs root', "import '../lanes/needs-root.ts'\n"],
    ['when it uses programs that the set-up builds', "import { CACHE } from '../setup/go/programs.mjs'\n"],
  ])('%s', async (_, text) => {
    await write({
      'test/x/a.test.ts': text,
      'test/x/helper.ts': "import { execa } from 'execa'\n",
      'test/helpers.ts': "export * from './x/helper.ts'\n",
      'test/lanes/needs-root.ts': '',
      'test/setup/go/programs.mjs': '',
    })
    expect(findUnitFiles(top)).toEqual([])
  })
})

describe('a unit test', () => {
  it('finds no programs', () => {
    expect(process.env.PATH).toBe('')
  })

  it('belongs to the unit tests of this checkout', () => {
    expect(findUnitFiles(join(import.meta.dirname, '../..'))).toContain('test/lanes/unit-files.test.ts')
  })
})
