import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startCluster } from '../../test/cluster/cluster.ts'
import { startBed } from '../../test/node/bed.ts'
import { ONE_GIGABYTE, writeArchive } from '../archive.ts'
import { askStatus, latencies } from '../calls.ts'
import { pullOf, SHIM_PROGRAM, startPackagedShim, writeFlake } from '../node.ts'
import { peakUntil, residentMegabytes } from '../process.ts'
import type { Result } from '../result.ts'

const CALLS_BEFORE_REST = 200
const ABSENT = 'registry.example/absent:1'

/** The resident memory of the shim's process; while it imports, with what its helpers do not share with it. */
export async function measureMemory(): Promise<Result[]> {
  await using bed = await startBed()
  const shim = await startPackagedShim(bed)
  const cri = bed.cri(shim.socket)
  await latencies(askStatus(cri, ABSENT), CALLS_BEFORE_REST)
  const idle = await residentMegabytes(shim.daemon.pid, 'VmRSS')

  const archive = join(bed.dir, 'archive.tar')
  await writeArchive(archive, 'bench/full:1', ONE_GIGABYTE)
  const flake = await writeFlake(bed, 'full', `cp ${archive} $out`)
  const peak = await peakUntil(shim, cri.pullImage(pullOf('bench/full:1', `path:${flake}`)))
  return [
    { name: 'rss.idle', value: idle, unit: 'MB', aim: '< 80' },
    { name: 'rss.kubernetes', value: await restInCluster(), unit: 'MB', aim: '< 95' },
    { name: 'rss.importing', value: peak, unit: 'MB', aim: '< 150' },
  ]
}

/** Until the shim has joined its cluster and done what it does at the start. */
const SETTLE_MS = 10_000

/** With `kubernetes:`, on a node that pulls nothing. */
async function restInCluster(): Promise<number> {
  await using cluster = await startCluster({ without: ['controllerManager', 'scheduler'] })
  await cluster.installDeploy()
  await using node = await cluster.addNode({ reports: true, shim: SHIM_PROGRAM })
  await latencies(askStatus(node.bed.cri(node.shim.socket), ABSENT), CALLS_BEFORE_REST)
  await delay(SETTLE_MS)
  return await residentMegabytes(node.shim.daemon.pid, 'VmRSS')
}
