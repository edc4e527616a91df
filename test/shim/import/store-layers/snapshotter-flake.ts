import { chmod, cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostSystem } from '../../../../recipes/system.ts'
import { hostPlatform } from '../../../../shim/import/image/config.ts'

const FLAKE = join(import.meta.dirname, 'snapshotter-flake')

/** Its packages `numbered` and `closure` are images of nix-snapshotter that print `mounted`; `unknown` has unknown annotations. Returns the flake URL. */
export async function writeSnapshotterFlake(parent: string): Promise<string> {
  const dir = join(parent, 'snapshotter-flake')
  await cp(FLAKE, dir, { recursive: true })
  await chmod(dir, 0o755)
  const settings = { system: hostSystem(), architecture: hostPlatform().architecture }
  await writeFile(join(dir, 'settings.json'), JSON.stringify(settings))
  return `path:${dir}`
}
