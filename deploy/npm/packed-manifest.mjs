// `npm pack` packs a bundle, which needs none of the packages that it was made of. So package.json has no dependencies while npm packs
// (`strip`), and gets them back afterwards (`restore`). They must be `dependencies` for everybody who makes the bundle.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const MANIFEST = fileURLToPath(new URL('../../package.json', import.meta.url))
const ORIGINAL = `${MANIFEST}.unpacked`
const FOR_DEVELOPERS = ['scripts', 'dependencies', 'devDependencies', 'allowScripts']

if (process.argv[2] === 'strip') strip()
else restore()

function strip() {
  // Left by an npm that was killed.
  restore()
  const original = readFileSync(MANIFEST, 'utf8')
  const entries = Object.entries(JSON.parse(original)).filter(([key]) => !FOR_DEVELOPERS.includes(key))
  writeFileSync(ORIGINAL, original)
  writeFileSync(`${MANIFEST}.new`, `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`)
  renameSync(`${MANIFEST}.new`, MANIFEST)
}

function restore() {
  if (existsSync(ORIGINAL)) renameSync(ORIGINAL, MANIFEST)
}
