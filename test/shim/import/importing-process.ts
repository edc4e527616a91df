import { dirname } from 'node:path'
import { pino } from 'pino'
import { ownedBy } from '../../../lib/queues/fair-order.ts'
import { createIdentity } from '../../../shim/import/identity.ts'
import { createImporter } from '../../../shim/import/importer.ts'
import { infosIn } from './closure.ts'

/** Runs the import of its argument and writes a line on every progress. */
const { options, storePath, image } = JSON.parse(process.argv[2] ?? '')
const store = dirname(storePath)
const own = {
  helper: options.helper && new URL(options.helper),
  queryClosure: () => infosIn(store),
  identity: createIdentity(options.stateDir),
  onLinking: () => {},
  logger: pino({ level: 'silent' }),
}
await createImporter({ ...options, ...own }).importImage({
  storePath,
  image,
  labels: {},
  ownedBy: 'example/owner',
  replaceForeign: true,
  maxImageSize: 2 ** 40,
  owners: ownedBy('team-a'),
  signal: new AbortController().signal,
  onProgress: progress => console.log(JSON.stringify(progress)),
})
