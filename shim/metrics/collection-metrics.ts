import { Counter, Gauge, type Registry } from 'prom-client'
import { bytesOf, type CollectionLimits, type DiskRoom } from '../nix/collect/plan-collection.ts'

export interface CollectionMetricsOptions {
  readonly room: () => Promise<DiskRoom>
  readonly limits: CollectionLimits
}

/** Called after each garbage collection. `freed`: bytes. */
export type CountCollection = (end: 'freed' | 'nothing' | 'failed', freed: number) => void

/** The disk of the Nix store, and garbage collections. If there is no store yet, its disk is left out. */
export function addCollectionMetrics({ room, limits }: CollectionMetricsOptions, registry: Registry): CountCollection {
  const registers = [registry]
  const ofDisk = (name: string, help: string, value: (room: DiskRoom) => number) =>
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        const found = await room().catch(() => undefined)
        if (found) this.set(value(found))
        else this.remove()
      },
    })
  ofDisk('enbi_shim_store_free_bytes', 'Free space on the disk of the Nix store.', ({ free }) => free)
  ofDisk(
    'enbi_shim_store_collect_below_bytes',
    'Free space below which garbage should be collected (nix.collectGarbage.below).',
    ({ total }) => bytesOf(limits.below, total),
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
