import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { nodeJsProblem } from '../../lib/node-version.ts'

const TOP = join(import.meta.dirname, '../..')

describe('the version of Node', () => {
  it.each([
    ['22.19.0', true],
    ['22.18.9', false],
    ['24.0.0', true],
    ['23.1.0', true],
    ['20.20.2', false],
    ['18.19.0', false],
    ['26.0.0-nightly', true],
    ['unknown', false],
  ])('%s is new enough: %s', (version, isEnough) => {
    expect(nodeJsProblem('enbi-shim', version, '/usr/bin/node') === undefined).toBe(isEnough)
  })

  it('is reported with the program and the required version, as in package.json', async () => {
    const { engines } = JSON.parse(await readFile(join(TOP, 'package.json'), 'utf8'))
    expect(nodeJsProblem('enbi-shim', '20.20.2', '/usr/bin/node')).toContain(
      `enbi-shim needs Node ${engines.node.replace('>=', '')} or newer, and /usr/bin/node is 20.20.2`,
    )
  })
})
