import { copyFile, cp, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { execa } from 'execa'
import { BUSYBOX } from '../node/programs.ts'

const FLAKE = join(import.meta.dirname, 'controller-image')
const TOP = join(import.meta.dirname, '../..')
/** What is left of CommonJS inside of the bundle wants it. */
const BANNER = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"

/** Writes a flake whose `image` is the controller, with this Node and its libraries, and returns its URL. */
export async function writeControllerFlake(dir: string): Promise<string> {
  await cp(FLAKE, dir, { recursive: true })
  await copyFile(BUSYBOX, join(dir, 'busybox'))
  const root = join(dir, 'root')
  await mkdir(join(root, 'bin'), { recursive: true })
  await copyFile(process.execPath, join(root, 'bin/node'))
  for (const library of await librariesOf(process.execPath)) {
    await mkdir(join(root, dirname(library)), { recursive: true })
    await copyFile(library, join(root, library))
  }
  await build({
    entryPoints: [join(TOP, 'controller/main.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: join(root, 'app/dist/controller/main.js'),
    banner: { js: BANNER },
    logLevel: 'error',
  })
  await copyFile(join(TOP, 'package.json'), join(root, 'app/package.json'))
  return `path:${dir}`
}

/** The loader among them. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await execa('ldd', [program])
  return [...stdout.matchAll(/(\/\S+) \(0x/g)].map(match => match[1] ?? '')
}
