import { writeFile } from 'node:fs/promises'
import { startBed } from '../node/bed.ts'
import { makeOptionsPage, OPTIONS_PAGE } from './options-page.ts'

await using bed = await startBed({ without: ['containerd', 'nix'], daemon: false })
await writeFile(OPTIONS_PAGE, await makeOptionsPage(bed))
process.stdout.write(`${OPTIONS_PAGE}\n`)
