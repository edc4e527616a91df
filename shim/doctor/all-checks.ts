import { existsSync } from 'node:fs'
import { messageOf } from '../../lib/errors.ts'
import { type Config, readConfig } from '../config/config.ts'
import { checkCgroup } from './check-cgroup.ts'
import { checkContainerd, checkImageService } from './check-containerd.ts'
import { checkCredentials } from './check-credentials.ts'
import { checkDisk } from './check-disk.ts'
import { checkImages } from './check-images.ts'
import { checkLayers } from './check-layers.ts'
import { checkLogs } from './check-logs.ts'
import { checkMirrors } from './check-mirrors.ts'
import { checkNames, checkPolicy } from './check-policy.ts'
import { checkSocket } from './check-socket.ts'
import { checkState } from './check-state.ts'
import { checkCluster } from './cluster/check-cluster.ts'
import { checkKubelet, checkRestart } from './kubelet/check-kubelet.ts'
import { checkCollection } from './nix/check-collection.ts'
import { checkNix } from './nix/check-nix.ts'
import { type Check, failed, ok, skipped } from './probes/finding.ts'
import { checkShare } from './share/check-share.ts'

const PROC = '/proc'

export interface DoctorOptions {
  readonly configFile: string
  /** A KubeletConfiguration. By default, that of the running kubelet. */
  readonly kubeletConfig?: string | undefined
  readonly env: NodeJS.ProcessEnv
}

export interface Checks {
  readonly checks: readonly Check[]
  close(): Promise<void>
}

/** All checks, in the order in which a pull needs their subjects. An invalid config leaves only the first one. */
export async function allChecks({ configFile, kubeletConfig, env }: DoctorOptions): Promise<Checks> {
  const read = await readConfig(configFile).catch((error: unknown) => messageOf(error))
  if (typeof read === 'string') {
    const wayOut = existsSync(configFile)
      ? `fix it: enbi-shim check-config ${configFile} lists every error`
      : 'create it (it may be empty), or pass another file with --config'
    const look = () => failed(read, wayOut)
    return { checks: [{ name: 'config', look }], close: async () => {} }
  }
  const cluster = clusterOf(read)
  const config: Check = { name: 'config', look: () => ok(configFile) }
  return {
    checks: [
      ...[config, checkSocket(read), ...checkKubelet(read.listen, { configFile: kubeletConfig, proc: PROC })],
      ...(kubeletConfig === undefined ? [checkRestart(PROC)] : []),
      ...[checkContainerd(read.containerd), ...checkImageService(read.containerd)],
      ...[...checkNix(read, { env, proc: PROC }), checkPolicy(read), ...checkNames(read)],
      ...[checkState(read), checkLogs(read, PROC), checkCredentials(read)],
      ...[checkLayers(read, { env, proc: PROC }), checkImages(read)],
      ...[...checkMirrors(read, { proc: PROC }), checkDisk(read), checkCollection(read, { env, proc: PROC })],
      ...[checkCgroup(PROC), ...cluster.checks],
      ...checkShare(read, { env, proc: PROC }),
    ],
    close: () => cluster.close(),
  }
}

function clusterOf({ kubernetes, share }: Config): Checks {
  if (kubernetes) return checkCluster(kubernetes, { shares: share !== undefined })
  const look = () => skipped('the config has no kubernetes section')
  return { checks: [{ name: 'API server', look }], close: async () => {} }
}
