import { Counter, Gauge, type Registry } from 'prom-client'
import { bytesOf, type CollectionLimits, type DiskRoom, shareOf } from '../nix/collect/plan-collection.ts'

export interface CollectionMetricsOptions {
  readonly room: () => Promise<DiskRoom>
  readonly limits: CollectionLimits
}

/** Called after each garbage collection. `freed`: bytes. */
export type CountCollection = (end: 'freed' | 'nothing' | 'failed', freed: number) => void

/** The disk of the Nix store, and garbage collections. What is not known is left out, such as the disk if there is no store yet. */
export function addCollectionMetrics({ room, limits }: CollectionMetricsOptions, registry: Registry): CountCollection {
  const registers = [registry]
  const ofDisk = (name: string, help: string, value: (room: DiskRoom) => number | undefined) =>
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        const found = await room().then(value, () => undefined)
        if (found === undefined) this.remove()
        else this.set(found)
      },
    })
  ofDisk('enbi_shim_store_free_bytes', 'Free space on the disk of the Nix store.', ({ free }) => free)
  ofDisk(
    'enbi_shim_store_collect_below_bytes',
    'Free space below which garbage should be collected (nix.collectGarbage.below).',
    ({ total }) => bytesOf(limits.below, total),
  )
  ofDisk(
    'enbi_shim_store_free_inodes',
    'Free inodes on the disk of the Nix store, if their number is fixed.',
    ({ inodes }) => inodes?.free,
  )
  ofDisk(
    'enbi_shim_store_collect_below_inodes',
    'Free inodes below which garbage should be collected: the same share as of the disk.',
    ({ total, inodes }) => inodes && shareOf(limits.below, total) * inodes.total,
  )
  const runs = new Counter({
    name: 'enbi_shim_collections_total',
    help: 'Garbage collections that the shim had Nix do.',
    labelNames: ['result'],
    registers,
  })
  for (const result of ['freed', 'nothing', 'failed']) runs.inc({ result }, 0)
  const bytes = new Counter({
    name: 'enbi_shim_collected_bytes_total',
    help: 'Bytes that the disk of the Nix store got free during these collections.',
    registers,
  })
  return (result, freed) => {
    runs.inc({ result })
    bytes.inc(freed)
  }
}
