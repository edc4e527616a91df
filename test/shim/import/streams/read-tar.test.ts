import { expect, it } from 'vitest'
import { readTar } from '../../../../shim/import/streams/read-tar.ts'
import { tar } from '../tar.ts'

it.each([
  ['dir/link', 'other/', 'dir/other'],
  ['dir/link', '..//other', 'other'],
  ['link', './dir/other', 'dir/other'],
])('the symlink %s to %s names what is at %s', async (name, symlink, target) => {
  const entries = []
  for await (const entry of readTar(bytesOf(await tar([{ name, symlink }])))) entries.push(entry)
  expect(entries).toEqual([{ kind: 'link', name, target }])
})

async function* bytesOf(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
