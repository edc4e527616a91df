import { mkdir, mkdtempDisposable, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { replaceLostFolder } from '../../../shim/containerd/layer-folders.ts'

test.each([
  ['all', []],
  ['some', ['rest']],
])(
  'a layer that has lost %s of its files is repaired once by imports that repair it at the same time',
  async (_, left) => {
    await using dir = await mkdtempDisposable(join(tmpdir(), 'layer-folders-'))
    const lost = { path: join(dir.path, 'lost', 'fs'), witness: 'file' }
    const fill = async (folder: string, names: readonly string[]) => {
      await mkdir(folder, { recursive: true })
      for (const name of names) await writeFile(join(folder, name), '')
      return folder
    }
    if (left.length > 0) await fill(lost.path, left)
    const folders = await Promise.all(
      Array.from({ length: 8 }, (_, index) => fill(join(dir.path, `${index}`, 'fs'), ['file', 'other'])),
    )
    await Promise.all(folders.map(folder => replaceLostFolder(folder, lost)))
    expect(await readdir(lost.path)).toEqual(['file', 'other'])
  },
)
