/** Ids of runs, which name the files of their logs: a time, hashes of up to three owners, and a random part. */
const RUN_ID = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z((?:-[0-9a-f]{20}){0,3})-[0-9a-f]{8}$/

/** The folder of the run logs below `/var/log`, by default. */
export const LOG_FOLDER = 'enbi-shim'

export interface RunIdParts {
  /** When the run began, in milliseconds since 1970. */
  readonly time: number
  /** Hashes. */
  readonly owners: readonly string[]
}

/** Undefined if the text is no id. */
export function parseRunId(text: string): RunIdParts | undefined {
  const found = RUN_ID.exec(text)
  if (!found) return undefined
  const [year = 0, month = 0, ...rest] = found.slice(1, 7).map(Number)
  return { time: Date.UTC(year, month - 1, ...rest), owners: (found[7] ?? '').split('-').slice(1) }
}
