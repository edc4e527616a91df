import { chmod, copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { KUBECTL_MAIN } from '../node/own-programs.ts'

/** Puts the plugin below `dir`, under the name that kubectl looks for. The one file is all that there is of it. */
export async function installPlugin(dir: string): Promise<string> {
  const plugins = join(dir, 'bin')
  await mkdir(plugins)
  await copyFile(KUBECTL_MAIN, join(plugins, 'kubectl-nixbuild'))
  await chmod(join(plugins, 'kubectl-nixbuild'), 0o755)
  return plugins
}
