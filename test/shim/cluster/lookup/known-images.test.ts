import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createKnownImages } from '../../../../shim/cluster/lookup/known-images.ts'

const logger = pino({ level: 'silent' })
let dir: string
let file: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'known-images-'))
  file = join(dir, 'state/known-images.json')
})
afterEach(() => rm(dir, { recursive: true }))

describe('images that had a NixBuild', () => {
  it('are known by namespace, also after a restart, until a look-up finds none', async () => {
    const before = createKnownImages({ file, logger })
    await before.record('team', 'app:1', true)
    await before.record('other', 'app:1', true)
    await before.record('team', 'gone:1', true)
    await before.record('team', 'gone:1', false)
    const after = createKnownImages({ file, logger })
    expect(await after.namespacesOf('app:1')).toEqual(['team', 'other'])
    expect(await after.has('team', 'app:1')).toBe(true)
    expect(await after.has('team', 'gone:1')).toBe(false)
    expect(await after.has('third', 'app:1')).toBe(false)
  })

  it('are bounded: a namespace with many of them displaces only its own', async () => {
    const known = createKnownImages({ file, most: 4, logger })
    await known.record('small', 'app:1', true)
    for (const image of ['a', 'b', 'c', 'd', 'e']) await known.record('large', image, true)
    expect(await known.has('small', 'app:1')).toBe(true)
    const kept = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(image => known.has('large', image)))
    expect(kept).toEqual([false, false, true, true, true])
  })

  it('are none if the file is damaged', async () => {
    const damaged = join(dir, 'damaged.json')
    await writeFile(damaged, '{"team":')
    const known = createKnownImages({ file: damaged, logger })
    expect(await known.has('team', 'app:1')).toBe(false)
    await known.record('team', 'app:1', true)
    expect(await createKnownImages({ file: damaged, logger }).has('team', 'app:1')).toBe(true)
  })

  it('are known although their file cannot be written', async () => {
    const blocked = join(dir, 'blocked')
    await writeFile(blocked, '')
    const known = createKnownImages({ file: join(blocked, 'known-images.json'), logger })
    await known.record('team', 'app:1', true)
    expect(await known.has('team', 'app:1')).toBe(true)
  })
})
