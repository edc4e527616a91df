import { mkdtempDisposable, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, it } from 'vitest'

const TOP = join(import.meta.dirname, '../..')

describe('protos/generated', () => {
  it('is what `npm run protos` makes of the .proto files', async () => {
    await using made = await mkdtempDisposable(join(tmpdir(), 'enbi-protos-'))
    await execa('npm', ['run', '--silent', 'protos'], { cwd: TOP, env: { OUT: made.path }, preferLocal: true })
    const fresh = await readTree(made.path)
    expect(fresh.size).toBeGreaterThan(0)
    expect(await readTree(join(TOP, 'protos/generated'))).toEqual(fresh)
  })
})

async function readTree(folder: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter(entry => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  const read = async (path: string) => [path.slice(folder.length + 1), await readFile(path, 'utf8')] as const
  return new Map(await Promise.all(paths.toSorted().map(read)))
}
