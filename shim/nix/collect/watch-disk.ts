import { pause } from '../../../lib/async/retry.ts'
import { type CollectionLimits, planCollection } from './plan-collection.ts'
import { storeRoom } from './store-room.ts'

/** As often as the kubelet looks. */
const EVERY_MS = 10_000

/** Whether the disk of the Nix store has too little space. False if there is no store. */
export async function isStoreLow(limits: CollectionLimits): Promise<boolean> {
  return storeRoom().then(
    room => planCollection(room, limits) !== undefined,
    () => false,
  )
}

/** Calls `onLow`, which must not reject, again and again while the disk of the Nix store has too little space. */
export async function watchDisk(
  limits: CollectionLimits,
  onLow: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await pause(EVERY_MS, signal)
    if (!signal.aborted && (await isStoreLow(limits))) await onLow()
  }
}
