import { join } from 'node:path'
import { execa } from 'execa'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ShimError } from '../../lib/errors.ts'
import { readTar } from '../../shim/import/streams/read-tar.ts'
import { createTarScan } from '../../shim/import/streams/tar-scan.ts'
import { CONTAINERD } from '../setup/go/programs.mjs'
import { madeTars } from './made-tars.ts'
import { made } from './runs.ts'

async function* inChunks(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

it('reading an arbitrary archive ends with plain names or with a ShimError', async () => {
  const isPlain = (name: string) => !name.startsWith('/') && !name.split('/').some(part => part === '..' || part === '')
  await fc.assert(
    fc.asyncProperty(madeTars, fc.integer({ min: 1, max: 2000 }), async (bytes, length) => {
      try {
        for await (const entry of readTar(inChunks(bytes, length))) {
          expect(entry.name).toSatisfy(isPlain)
          if (entry.kind === 'link') expect(entry.target).toSatisfy(isPlain)
          else for await (const chunk of entry.body) expect(chunk.length).toBeLessThanOrEqual(bytes.length)
        }
      } catch (error) {
        expect(error).toBeInstanceOf(ShimError)
        expect(error).toMatchObject({ code: 'ArchiveInvalid' })
      }
    }),
    made(500),
  )
})

/** Whether the shim would unpack a layer with these bytes. */
function isTaken(bytes: Buffer, length: number): boolean {
  const scan = createTarScan()
  try {
    for (let at = 0; at < bytes.length; at += length) scan.push(bytes.subarray(at, at + length))
    return true
  } catch (error) {
    expect(error).toMatchObject({ code: 'ArchiveInvalid' })
    return false
  }
}

it('a layer that the shim accepts never grows beyond its size when containerd unpacks it', async () => {
  const tars = fc.sample(madeTars, made(3000))
  const taken = tars.filter((bytes, index) => isTaken(bytes, 1 + (index % 700)))
  expect(taken.length).toBeGreaterThan(10)
  const input = taken.map(bytes => bytes.toString('base64')).join('\n')
  const { stdout } = await execa(join(CONTAINERD.dir, 'measure-tar'), { input })
  const unpacked = stdout.split('\n').map(Number)
  const grown = taken.filter((bytes, index) => (unpacked[index] ?? 0) > bytes.length)
  expect(grown.map(bytes => bytes.toString('base64'))).toEqual([])
})
