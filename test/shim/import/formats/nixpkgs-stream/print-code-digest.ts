import { readFileSync } from 'node:fs'
import { codeDigest } from '../../../../../shim/import/formats/nixpkgs-stream/program.ts'

/** For the list of known programs: `print-code-digest.ts FILE...` */
for (const file of process.argv.slice(2)) console.log(`${codeDigest(readFileSync(file, 'utf8'))}  ${file}`)
