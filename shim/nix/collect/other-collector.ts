import { readdir } from 'node:fs/promises'
import { type NixConfigQuery, readNixConfig } from '../process/nix-config.ts'
import { bytesOf, type CollectionLimits, type DiskRoom, isNixFirst } from './plan-collection.ts'

/** Names of timers that collect garbage: that of NixOS (`nix.gc.automatic`), and common ones. */
const TIMERS: ReadonlySet<string> = new Set(['nix-gc.timer', 'nix-collect-garbage.timer', 'nh-clean.timer'])
/** Where systemd has the timers that it starts at boot. */
const TIMERS_FOLDER = '/etc/systemd/system/timers.target.wants'

/** A timer that collects garbage, such as `nix-gc.timer`; undefined if there is none, as far as this can tell. */
export async function findTimer(folder = TIMERS_FOLDER): Promise<string | undefined> {
  const timers = await readdir(folder).catch(() => [])
  return timers.find(name => TIMERS.has(name))
}

/** Nix collects by itself, while it builds. */
export const MIN_FREE = 'min-free of Nix'

/**
 * What collects garbage of this low disk, so that the shim need not; undefined if nothing does. A timer does not count: it has not kept
 * the disk from running low, and comes when it comes. Nor does Nix if it waits for less free space, or only inodes are low.
 */
export async function findOtherCollector(
  query: NixConfigQuery,
  limits: CollectionLimits,
  { total, free }: DiskRoom,
): Promise<string | undefined> {
  if (free >= bytesOf(limits.below, total)) return undefined
  // If Nix does not tell, no setting is known.
  const settings = await readNixConfig(query).catch(() => undefined)
  return settings && isNixFirst(settings.minFree, limits, total) ? MIN_FREE : undefined
}
