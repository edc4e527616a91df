import { access, constants, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Logger } from 'pino'
import { messageOf } from '../../../lib/errors.ts'
import { makeOwnFolder } from '../../../lib/files/own-files.ts'
import { foldersOf } from '../user/state-dir.ts'

/** Who reads the logs may be in its group. */
const LOG_FOLDER_MODE = 0o750

export interface LogFolderOptions {
  readonly logDir: string
  readonly stateDir: string
  readonly logger: Pick<Logger, 'warn' | 'info'>
}

/** The folder of the run logs. */
export interface LogFolder {
  /** All folders that may have logs. */
  readonly all: readonly string[]
  /** As it was chosen last. */
  path(): string
  /**
   * Creates the folder if it is missing, and chooses it. If that fails, as in a unit of an older version, which cannot write to
   * it, the logs are in the state folder, and no build fails.
   */
  choose(): Promise<string>
}

export function createLogFolder({ logDir, stateDir, logger }: LogFolderOptions): LogFolder {
  const { logs } = foldersOf(stateDir)
  let chosen = logDir
  return {
    all: [...new Set([logDir, logs])],
    path: () => chosen,
    async choose() {
      const before = chosen
      // The builder makes the one in the state folder.
      const error = logDir === logs ? undefined : await tryToMake(logDir)
      chosen = error === undefined ? logDir : logs
      if (chosen === before) return chosen
      if (error === undefined) logger.info({ logDir }, 'run logs are in their folder again')
      else logger.warn({ err: error, logDir, instead: logs }, 'cannot use the folder for run logs')
      return chosen
    },
  }
}

/** Creates the folder and its parents. Throws StateDirUnsafe if others can write to it. */
export async function makeLogFolder(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await makeOwnFolder(path, { mode: LOG_FOLDER_MODE })
}

/** Returns why it failed. */
async function tryToMake(path: string): Promise<string | undefined> {
  try {
    await makeLogFolder(path)
    // An existing folder may be read-only, as in a unit that started before the folder was there.
    await access(path, constants.W_OK)
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}
