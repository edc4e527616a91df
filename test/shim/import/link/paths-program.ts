import { linkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openLinkView } from '../../../../shim/import/link/link-paths.ts'

// Opens a view of the folders that it is given, links a file through it, and prints what it found.
const [store = '', folder = '', viewFolder = ''] = process.argv.slice(2)
const view = await openLinkView({ store, probe: 'path', folder, viewFolder })
if (view.kind === 'link') linkSync(join(view.store, 'path/file'), join(view.folder, 'linked'))
else writeFileSync(join(view.folder, 'copied'), '')
await view.close()
process.stdout.write(view.how)
