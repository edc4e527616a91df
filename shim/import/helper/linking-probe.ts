import { existsSync, opendirSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { messageOf } from '../../../lib/errors.ts'
import { lowerPriority } from '../../../lib/process/serve-helper.ts'
import { isStorePath, STORE_DIR } from '../../../recipes/store-path.ts'
import { connectContainerd } from '../../containerd/connect.ts'
import { toContainerdFailure } from '../../containerd/services/failure.ts'
import type { Lease } from '../../containerd/services/leases.ts'
import type { LinkingReport } from '../image/contract.ts'
import { findFile } from '../link/link-paths.ts'
import { linkingReport, tryLinking } from '../store-layers/stage-layers.ts'
import { underLease } from './leases.ts'
import { type LinkingProbe, probeSchema } from './messages.ts'

/** A booting node may start its shim long before containerd. */
const CONTAINERD_LIMIT_MS = 10 * 60_000
/** For everything else. */
const LIMIT_MS = 60_000
/** A store may have hundreds of thousands of paths. */
const MOST_ENTRIES = 1000
/** What runs of nix leave in the store for their own time: locks, and the root folders of sandboxes. */
const TEMPORARY = /\.(?:lock|chroot)$/
const MOST_TRIALS = 3

/**
 * A program that finds out how files of the store get into containerd's snapshots. Argument: a LinkingProbe as JSON. It writes a
 * LinkingReport as JSON, or null if the store has nothing to try it with yet. On failure it ends with exit code 1, and the
 * reason on standard error.
 */
// The caller has gone.
process.stdin.once('end', () => process.exit(1)).resume()
try {
  lowerPriority()
  process.stdout.write(JSON.stringify(await probe(v.parse(probeSchema, JSON.parse(process.argv[2] ?? '')))))
} catch (error) {
  process.stderr.write(messageOf(toContainerdFailure(error)))
  process.exitCode = 1
} finally {
  process.stdin.destroy()
}

async function probe(setup: LinkingProbe): Promise<LinkingReport | null> {
  let report: LinkingReport | null = null
  for (let trial = 0; trial < MOST_TRIALS; trial += 1) {
    const path = someStorePath()
    if (path === undefined) break
    report = await probeWith(path, setup)
    // A path that is not valid, or not any more, can go at any time.
    if (findFile(path) !== undefined) break
  }
  return report
}

async function probeWith(
  path: string,
  { containerd, viewFolder, trustStore, ...owner }: LinkingProbe,
): Promise<LinkingReport> {
  using client = connectContainerd(containerd)
  await client.waitUntilConnected(CONTAINERD_LIMIT_MS)
  const signal = AbortSignal.timeout(LIMIT_MS)
  const tryIt = async (lease: Lease) => {
    const snapshotter = { calls: lease.calls, name: containerd.snapshotter }
    const trial = await tryLinking({ snapshotter, probe: path, viewFolder, trustStore, signal })
    if (trial.possible) await trial.stager.close()
    return linkingReport(trial)
  }
  // If this process is killed, nobody else knows of the lease.
  return await underLease(client.within({ signal }), owner, tryIt, { lifetimeMs: 2 * LIMIT_MS })
}

/** A store path that has a file to link. */
function someStorePath(): string | undefined {
  if (!existsSync(STORE_DIR)) return undefined
  const folder = opendirSync(STORE_DIR)
  try {
    for (let seen = 0; seen < MOST_ENTRIES; seen += 1) {
      const entry = folder.readSync()
      if (entry === null) break
      const path = join(STORE_DIR, entry.name)
      if (isStorePath(path) && !TEMPORARY.test(entry.name) && findFile(path) !== undefined) return path
    }
    return undefined
  } finally {
    folder.closeSync()
  }
}
