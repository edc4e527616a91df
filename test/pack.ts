import { cp, mkdir, readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'

const TOP = join(import.meta.dirname, '..')
const SOURCES =
  'package.json package-lock.json tsconfig.json recipes lib kube shim controller protos deploy docs test/setup CHANGELOG.md CONTRIBUTING.md README.md LICENSE'.split(
    ' ',
  )

/**
 * The archive that `npm pack` makes of the checkout. In a copy of it below `parent`: what is in the checkout's dist/ may be in use.
 */
export async function packProject(parent: string): Promise<string> {
  const copy = join(parent, 'checkout')
  const packed = join(parent, 'packed')
  for (const folder of [copy, packed]) await mkdir(folder)
  for (const name of SOURCES) await cp(join(TOP, name), join(copy, name), { recursive: true })
  await symlink(join(TOP, 'node_modules'), join(copy, 'node_modules'))
  await execa('npm', ['pack', '--pack-destination', packed], { cwd: copy, preferLocal: true, localDir: TOP })
  const [archive = 'nothing', ...others] = await readdir(packed)
  if (others.length > 0) throw new Error(`npm has packed more than one archive: ${[archive, ...others].join(', ')}`)
  return join(packed, archive)
}

/** `npm install -g`, with no network: programs are in `<prefix>/bin` then. */
export async function installPacked(archive: string, prefix: string): Promise<void> {
  await execa('npm', ['install', '--global', '--offline', '--prefix', prefix, archive])
}
