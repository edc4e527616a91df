import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Bed, startBed } from '../../node/bed.ts'
import type { ShimOptions } from '../../node/shim.ts'
import { makeSigningKey } from '../../node/signing-key.ts'
import { type StoreServer, startStoreServer } from '../../node/store-server.ts'
import { type ConnectedShim, startConnectedShim } from '../../shim/cluster/shim-with-cluster.ts'
import type { Cluster } from '../cluster.ts'

/** A node without a kubelet: the tests pull as one would. */
export interface Peer extends ConnectedShim {
  readonly bed: Bed
  readonly server: StoreServer
}

/** A node's parts without a shim for each name. It signs what it builds; only the keys of `trusted` are trusted, by all. */
export async function startSigningBeds(
  kept: AsyncDisposableStack,
  names: readonly string[],
  trusted: readonly string[] = names,
): Promise<Bed[]> {
  const keys = new Map(names.map(name => [name, makeSigningKey(name)]))
  const settings = { 'trusted-public-keys': trusted.map(name => keys.get(name)?.public).join(' ') }
  return Promise.all(
    [...keys.values()].map(async ({ secret }) => {
      const bed = kept.use(await startBed({ without: ['nix'], nixSettings: settings }))
      const file = join(bed.dir, 'key')
      await writeFile(file, secret, { mode: 0o600 })
      await writeFile(join(bed.dir, 'nix-conf', 'nix.conf'), `secret-key-files = ${file}\n`, { flag: 'a' })
      await bed.nixDaemon.start()
      return bed
    }),
  )
}

export interface PeerOptions {
  readonly nix?: object
  /** Overrides keys of the config's `share`. With false, the node shares nothing. */
  readonly share?: object | false
  /** URL of the API server. */
  readonly server?: string
  readonly shim?: ShimOptions
}

/** Starts a shim on the bed, whose store is served. The shim and the server end with `kept`. */
export async function startPeer(
  { cluster, kept }: { readonly cluster: Cluster; readonly kept: AsyncDisposableStack },
  bed: Bed,
  { nix, share = {}, server: apiServer, shim }: PeerOptions = {},
): Promise<Peer> {
  const server = kept.use(await startStoreServer())
  server.serve(bed)
  const config = {
    nix: { user: bed.buildUser.name, ...nix },
    ...(share && { share: { address: server.url, ...share } }),
  }
  const connected = kept.use(
    await startConnectedShim(cluster, bed, {
      config,
      ...(shim && { shim }),
      ...(apiServer !== undefined && { server: apiServer }),
    }),
  )
  return { ...connected, bed, server }
}
