import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config/config.ts'
import { FOLDER_SNAPSHOTTER } from '../containerd/services/constants.ts'
import { canSync, NO_SYNC } from '../containerd/sync-files.ts'
import { checkLinking } from '../import/check-linking.ts'
import { createIdentity } from '../import/identity.ts'
import type { LinkingReport } from '../import/image/contract.ts'
import type { NixCheckOptions } from './nix/nix-of-shim.ts'
import { type Check, type Finding, failed, ok, skipped, warning } from './probes/finding.ts'
import { probeSocket } from './probes/probe-socket.ts'
import { isRoot, shimEnvironment } from './probes/processes.ts'

/**
 * How layers of store paths get into containerd. Tried as the shim does when it starts, under a lease that is deleted.
 */
export function checkLayers(
  config: Pick<Config, 'containerd' | 'stateDir' | 'import'>,
  { env, proc }: NixCheckOptions,
): Check {
  return {
    name: 'layers',
    async look(signal) {
      const isSynced = config.containerd.snapshotter === FOLDER_SNAPSHOTTER
      if (isSynced && !(await canSync({ ...env, ...(await shimEnvironment(proc)) })))
        return failed(
          `images cannot be imported: ${NO_SYNC}`,
          'install GNU coreutils, or add it to the PATH of the shim',
        )
      if (config.import.layers === 'tar') return ok('as tars, as import.layers says')
      if (!isRoot()) return skipped('only root can try to link files')
      if (!(await stat(config.stateDir).catch(() => undefined))) return skipped('the state folder does not exist yet')
      if (await probeSocket(config.containerd.address, '')) return skipped('containerd does not answer')
      const linking = await checkLinking({
        ...config,
        trustStore: config.import.trustStore,
        identity: createIdentity(join(config.stateDir, 'doctor')),
        signal,
      })
      return linking ? judgeLinking(linking) : skipped('the store has no path to try it with yet')
    },
  }
}

export function judgeLinking({ possible, isCopied, how }: LinkingReport): Finding {
  if (possible && !isCopied) return ok(`linked: ${how}`)
  return warning(
    possible
      ? `linked ${how}: each image takes time and disk space`
      : `as tars, which is slower and takes twice the space: ${how}`,
    "have /nix/store, which must be root's, and the folder of containerd on one file system, or set import.layers: tar",
  )
}
