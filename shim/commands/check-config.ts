import { stringify } from 'yaml'
import { formatListenAddress } from '../../lib/http/listen-address.ts'
import { formatDuration, formatSize } from '../../lib/text/units.ts'
import { type CollectGarbage, formatAmount } from '../config/collect-garbage.ts'
import { readConfig } from '../config/config.ts'
import { warnOfOptions } from '../doctor/nix/nix-options.ts'

export interface CheckedConfig {
  /** The config with every default filled in, as YAML that is a config again. */
  readonly text: string
  /** About settings that are valid and may have no effect. */
  readonly warning: string | undefined
}

/** Throws ConfigInvalid. */
export async function checkConfig(file: string): Promise<CheckedConfig> {
  const { nix, policy, kubernetes, share, metrics, shutdownTimeout, ...rest } = await readConfig(file)
  const text = stringify({
    ...rest,
    policy: policy.map(rule => ({ ...rule, maxImageSize: formatSize(rule.maxImageSize) })),
    shutdownTimeout: formatDuration(shutdownTimeout),
    nix: {
      ...nix,
      ...formatDurations(nix, NIX_DURATIONS),
      maxEvalMemory: formatSize(nix.maxEvalMemory),
      collectGarbage: formatCollection(nix.collectGarbage),
    },
    ...(kubernetes && { kubernetes: { ...kubernetes, ...formatDurations(kubernetes, KUBERNETES_DURATIONS) } }),
    ...(share && { share: { ...share, ...formatDurations(share, SHARE_DURATIONS) } }),
    ...(metrics && { metrics: { address: formatListenAddress(metrics.address) } }),
  })
  return { text, warning: warnOfOptions(nix.options) }
}

function formatCollection({ when, below, upTo }: CollectGarbage) {
  return { when, below: formatAmount(below), upTo: formatAmount(upTo) }
}

const NIX_DURATIONS = ['timeout', 'abandonAfter', 'holdPulls', 'rememberFailures'] as const
const KUBERNETES_DURATIONS = ['leaseDuration', 'lookupTimeout', 'unwantedCheck'] as const
const SHARE_DURATIONS = ['wait', 'copyTimeout'] as const

function formatDurations<Key extends string>(
  section: Readonly<Partial<Record<Key, number | undefined>>>,
  keys: readonly Key[],
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    keys.flatMap(key => {
      const duration = section[key]
      return duration === undefined ? [] : [[key, formatDuration(duration)]]
    }),
  )
}
