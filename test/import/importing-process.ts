import { pino } from 'pino'
import { createImporter } from '../../shim/import/importer.ts'

/** Imports what its argument says and writes a line whenever it comes further. */
const { options, storePath, image } = JSON.parse(process.argv[2] ?? '')
await createImporter({ ...options, logger: pino({ level: 'silent' }) }).importImage({
  storePath,
  image,
  labels: {},
  ownedBy: 'example/owner',
  replaceForeign: true,
  runsPrograms: true,
  signal: new AbortController().signal,
  onProgress: progress => console.log(JSON.stringify(progress)),
})
