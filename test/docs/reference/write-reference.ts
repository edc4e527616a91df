import { writeFile } from 'node:fs/promises'
import { makeOptionsPage, OPTIONS_PAGE } from '../../nixos-module/options-page.ts'
import { startBed } from '../../node/bed.ts'
import { GENERATED_PAGES } from './pages.ts'

for (const { path, make } of GENERATED_PAGES) await write(path, make())
await using bed = await startBed({ without: ['containerd', 'nix'], daemon: false })
await write(OPTIONS_PAGE, await makeOptionsPage(bed))

async function write(path: string, text: string): Promise<void> {
  await writeFile(path, text)
  process.stdout.write(`${path}\n`)
}
