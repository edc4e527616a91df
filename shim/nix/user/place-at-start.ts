import type { Logger } from 'pino'
import type { Config } from '../../config/config.ts'
import { resolveBuildUser } from './build-user.ts'
import { createCredentials, isInUse } from './credentials.ts'
import { layOut, prepareStateDir } from './state-dir.ts'

export interface PlaceOptions {
  readonly stateDir: string
  readonly nix: Config['nix']
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly logger: Logger
}

/**
 * Places credentials before the first build asks for them, so that the log says at the start which are missing, and those that the
 * config no longer names are gone. Does not reject: each build tries again, and fails by itself.
 */
export async function placeAtStart({ stateDir, nix, env, logger }: PlaceOptions): Promise<void> {
  const dir = layOut(stateDir)
  const { user: userName, credentials: files } = nix
  try {
    if (!(await isInUse(dir, files))) return
    const user = await resolveBuildUser({ name: userName, home: dir.home, configHome: dir.config, env })
    await prepareStateDir(dir, user, logger)
    await createCredentials({ dir, user, userName, files, logger }).place()
  } catch (err) {
    logger.error({ err }, 'credentials cannot be placed: nothing is built until they can')
  }
}
