import { cp, mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bed, startBed } from './node/bed.ts'
import { copyExample } from './node/example.ts'
import { recipePull } from './node/recipe-pull.ts'

const TOP = join(import.meta.dirname, '..')
let bed: Bed
let program: string

/** Built in a folder of its own: what is in the checkout's dist/ may be older, and may be in use. */
beforeAll(async () => {
  bed = await startBed()
  const copy = join(bed.dir, 'package')
  await mkdir(copy)
  for (const name of ['package.json', 'tsconfig.json', 'shim', 'kube', 'controller', 'protos'])
    await cp(join(TOP, name), join(copy, name), { recursive: true })
  await symlink(join(TOP, 'node_modules'), join(copy, 'node_modules'))
  await execa('npm', ['run', 'build'], { cwd: copy, preferLocal: true, localDir: TOP })
  program = join(copy, 'dist/shim/main.js')
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

describe('what is packaged', () => {
  it.each(['shim', 'controller'])('runs as a program of its own: %s', async name => {
    const main = program.replace('dist/shim', `dist/${name}`)
    const { stdout } = await execa(main, ['--version'], { preferLocal: true, localDir: TOP })
    expect(stdout).toMatch(/^\d+\.\d+\.\d+$/)
  })

  it('serves, builds and imports, its worker thread included', async () => {
    const { url } = await copyExample('formats', bed.dir)
    const shim = await bed.startShim({ program })
    const pull = recipePull({ image: 'app:1', flakeUrl: url, packageName: 'stream' })
    const id = await bed.cri(shim.socket).pullImage(pull)
    await expect(bed.cri().imageStatus('app:1')).resolves.toMatchObject({ id })
  })
})
