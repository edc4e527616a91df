import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Logger } from 'pino'
import { messageOf } from '../../../lib/errors.ts'
import { makeOwnFolder } from '../../../lib/files/own-files.ts'
import { foldersOf } from '../user/state-dir.ts'

/** Who reads the logs may be in its group. */
export const LOG_FOLDER_MODE = 0o750

export interface LogFolderOptions {
  readonly logDir: string
  readonly stateDir: string
  readonly logger: Pick<Logger, 'warn'>
}

/**
 * Creates the folder of the run logs. If that fails, as in a unit of an older version, which cannot write to it, the logs
 * are in the state folder, and no build fails.
 */
export async function chooseLogFolder({ logDir, stateDir, logger }: LogFolderOptions): Promise<string> {
  const { logs } = foldersOf(stateDir)
  if (logDir === logs) return logs
  try {
    await mkdir(dirname(logDir), { recursive: true })
    await makeOwnFolder(logDir, { mode: LOG_FOLDER_MODE })
    return logDir
  } catch (error) {
    logger.warn({ err: messageOf(error), logDir, instead: logs }, 'cannot use the folder for run logs')
    return logs
  }
}
