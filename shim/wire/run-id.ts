/** Ids of runs, which name the files of their logs: a time, hashes of up to three owners, and a random part. */
const RUN_ID = /^(\d{8})T(\d{6})Z((?:-[0-9a-f]{20}){0,3})-[0-9a-f]{8}$/

/** The folder of the run logs below `/var/log`, by default. */
export const LOG_FOLDER = 'enbi-shim'

/** Undefined if the text is no id. */
export function parseRunId(text: string): { readonly time: number; readonly owners: readonly string[] } | undefined {
  const [, date, time, owners] = RUN_ID.exec(text) ?? []
  return owners === undefined ? undefined : { time: Number(`${date}${time}`), owners: owners.split('-').slice(1) }
}
