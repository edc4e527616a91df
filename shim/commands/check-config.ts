import { stringify } from 'yaml'
import { formatListenAddress } from '../../lib/http/listen-address.ts'
import { formatDuration, formatSize } from '../../lib/text/units.ts'
import { type Config, readConfig } from '../config/config.ts'
import { warnOfOptions } from '../doctor/nix/nix-options.ts'

export interface CheckedConfig {
  /** The config with every default filled in, as YAML that is a config again. */
  readonly text: string
  /** About settings that are valid and may have no effect. */
  readonly warning: string | undefined
}

/** Throws ConfigInvalid. */
export async function checkConfig(file: string): Promise<CheckedConfig> {
  const { nix, policy, kubernetes, metrics, shutdownTimeout, ...rest } = await readConfig(file)
  const text = stringify({
    ...rest,
    policy: policy.map(rule => ({ ...rule, maxImageSize: formatSize(rule.maxImageSize) })),
    shutdownTimeout: formatDuration(shutdownTimeout),
    nix: {
      ...nix,
      timeout: formatDuration(nix.timeout),
      maxEvalMemory: formatSize(nix.maxEvalMemory),
      abandonAfter: formatDuration(nix.abandonAfter),
      ...(nix.holdPulls !== undefined && { holdPulls: formatDuration(nix.holdPulls) }),
      rememberFailures: formatDuration(nix.rememberFailures),
    },
    ...(kubernetes && { kubernetes: printKubernetes(kubernetes) }),
    ...(metrics && { metrics: { address: formatListenAddress(metrics.address) } }),
  })
  return { text, warning: warnOfOptions(nix.options) }
}

function printKubernetes(kubernetes: NonNullable<Config['kubernetes']>) {
  return {
    ...kubernetes,
    leaseDuration: formatDuration(kubernetes.leaseDuration),
    lookupTimeout: formatDuration(kubernetes.lookupTimeout),
  }
}
