import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bed, startBed } from '../node/bed.ts'
import { makeOptionsPage, OPTIONS_PAGE } from './options-page.ts'

let bed: Bed

beforeAll(async () => {
  bed = await startBed({ without: ['containerd', 'nix'], daemon: false })
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

test('the page of options is up to date; if not, `npm run reference` writes it', async () => {
  await expect(readFile(OPTIONS_PAGE, 'utf8')).resolves.toBe(await makeOptionsPage(bed))
})

test('the options of the controller cover every flag except --kubeconfig', async () => {
  const { stdout } = await execa(process.execPath, [join(import.meta.dirname, '../../controller/main.ts'), '--help'])
  const flags = [...stdout.matchAll(/^ {2}--([a-z-]+) </gm)].map(([, flag]) => flag)
  const page = await readFile(OPTIONS_PAGE, 'utf8')
  const options = [...page.matchAll(/^## `services\.enbi-shim\.controller\.flags\.([a-z-]+)`$/gm)].map(
    ([, name]) => name,
  )
  expect(options.toSorted()).toEqual(flags.filter(flag => flag !== 'kubeconfig').toSorted())
  expect(flags).toContain('kubeconfig')
})
