import { linkSync } from 'node:fs'
import { join } from 'node:path'
import { openLinkPaths } from '../../../../shim/import/link/link-paths.ts'

// Opens two views concurrently, as two imports do, and links through the second when the first is closed.
const [store = '', first = '', second = '', viewFolder = ''] = process.argv.slice(2)
const open = (folder: string) => openLinkPaths({ store, probe: 'path', folder, viewFolder })
const [one, other] = await Promise.all([open(first), open(second)])
await one.close()
linkSync(join(other.store, 'path/file'), join(other.folder, 'linked'))
await other.close()
process.stdout.write([one.how, other.how].join('\n'))
