import { linkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openLinkPaths } from '../../../../shim/import/link/link-paths.ts'

// Opens the folders that it is given, links a file between them, and prints how.
const [store = '', folder = '', viewFolder = ''] = process.argv.slice(2)
const opened = await openLinkPaths({ store, probe: 'path', folder, viewFolder })
if (opened.kind === 'link') linkSync(join(opened.store, 'path/file'), join(opened.folder, 'linked'))
else writeFileSync(join(opened.folder, 'copied'), '')
await opened.close()
process.stdout.write(opened.how)
