import { type FileHandle, lstat, readdir, rm } from 'node:fs/promises'
import { allSettled } from '../../../lib/async/all-settled.ts'
import { hasCode } from '../../../lib/error-code.ts'
import { openOwnFolder } from '../../../lib/files/own-files.ts'
import { findFairExcess } from '../../../lib/queues/fair-excess.ts'
import { parseRunId } from '../../wire/run-id.ts'
import { roomForLogs } from './log-room.ts'

/**
 * Removes logs beyond a number and a total size of all folders of a file system together: the logs of the namespaces that have the
 * most, first those that nothing was written to for longest. What cannot be read or removed keeps no other log. Then throws the
 * first failure. Like the files of a log, folders that others can replace are opened once, and no symlink is followed.
 */
export async function pruneRunLogs(...dirs: readonly string[]): Promise<void> {
  const opening = [...new Set(dirs)].map(openFolder)
  const opened = (await Promise.allSettled(opening)).flatMap(each => (each.status === 'fulfilled' ? each.value : []))
  try {
    const systems = [...Map.groupBy(opened, ({ device }) => device).values()]
    await allSettled([...opening, ...systems.map(pruneTogether)])
  } finally {
    await Promise.all(opened.map(({ handle }) => handle.close()))
  }
}

interface OpenFolder {
  readonly handle: FileHandle
  /** Through the open folder. */
  readonly path: string
  readonly device: number
}

/** Empty if it is missing: an earlier version of the shim, or another config, had its logs there. */
async function openFolder(dir: string): Promise<OpenFolder[]> {
  try {
    const handle = await openOwnFolder(dir)
    return [{ handle, path: `/proc/self/fd/${handle.fd}`, device: (await handle.stat()).dev }]
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

/** Choosing takes longer than linear time. More logs than this are there only if another program has put them there. */
const MAX_COUNTED = 1000

async function pruneTogether(folders: readonly OpenFolder[]): Promise<void> {
  const [first] = folders
  if (!first) return
  const logs: RunFiles[] = []
  const list = async ({ path }: OpenFolder) => void logs.push(...(await listLogs(path)))
  const listed = allSettled(folders.map(list))
  await listed.catch(() => {})
  const latest = logs.toSorted((a, b) => b.usedAt - a.usedAt)
  const counted = latest.slice(0, MAX_COUNTED)
  const excess = [...latest.slice(MAX_COUNTED), ...findFairExcess(counted, await roomForLogs(first.path))]
  await allSettled([...excess.flatMap(({ paths }) => paths).map(path => rm(path, { force: true })), listed])
}

interface RunFiles {
  readonly paths: string[]
  readonly owners: readonly string[]
  usedAt: number
  bytes: number
}

const LOG_NAME = /^(.{1,255})\.log(?:\.1)?$/

/** What is not a file is no log of the shim. */
async function listLogs(dir: string): Promise<RunFiles[]> {
  const runs = new Map<string, RunFiles>()
  for (const name of await readdir(dir)) {
    const [, runId = ''] = LOG_NAME.exec(name) ?? []
    const parsed = parseRunId(runId)
    if (parsed === undefined) continue
    const path = `${dir}/${name}`
    // Another run may remove it at the same time.
    const stats = await lstat(path).catch(() => undefined)
    if (!stats?.isFile()) continue
    const { owners, time } = parsed
    const run = runs.get(runId) ?? { paths: [], owners, usedAt: time, bytes: 0 }
    run.paths.push(path)
    run.bytes += stats.size
    // A run that began long ago may still write.
    run.usedAt = Math.max(run.usedAt, stats.mtimeMs)
    runs.set(runId, run)
  }
  return [...runs.values()]
}
