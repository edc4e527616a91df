import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeSigningKey } from '../../node/signing-key.ts'
import { type StoreServer, startStoreServer } from '../../node/store-server.ts'
import type { AddNodeOptions } from '../add-node.ts'
import type { Cluster } from '../cluster.ts'
import type { ClusterNode } from '../node.ts'

/** A node that shares what it builds: its store is served, and it signs. */
export interface SharingNode {
  readonly node: ClusterNode
  readonly server: StoreServer
}

export interface SharingOptions extends Pick<AddNodeOptions, 'reports'> {
  /** Overrides keys of the config's `share`. */
  readonly share?: Readonly<Record<string, unknown>>
  readonly nix?: Readonly<Record<string, unknown>>
  /** Overrides sections of the config. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Others do not trust its key. */
  readonly untrusted?: boolean
}

interface Part extends Pick<Cluster, 'access'> {
  addNode(options?: AddNodeOptions): Promise<ClusterNode>
}

/** Starts nodes that trust each other's keys. Their servers end with `kept`. */
export async function addSharingNodes(
  cluster: Part,
  kept: AsyncDisposableStack,
  all: readonly SharingOptions[],
): Promise<SharingNode[]> {
  const planned = await Promise.all(
    all.map(async options => {
      const name = `node-${randomUUID().slice(0, 8)}`
      return { name, options, key: makeSigningKey(name), server: kept.use(await startStoreServer()) }
    }),
  )
  const trusted = planned.filter(({ options }) => !options.untrusted).map(({ key }) => key.public)
  return Promise.all(
    planned.map(async ({ name, options, key, server }) => {
      const file = join(cluster.access.dir, `${name}.key`)
      await writeFile(file, key.secret, { mode: 0o600 })
      await writeFile(`${file}.pub`, key.public)
      const { share, nix, config, reports = true } = options
      const node = await cluster.addNode({
        name,
        reports,
        nixSettings: { 'secret-key-files': file, 'trusted-public-keys': trusted.join(' ') },
        shim: {
          config: {
            ...config,
            nix: { user: 'nobody', ...nix },
            share: { address: server.url, publicKeyFile: `${file}.pub`, ...share },
          },
        },
      })
      server.serve(node.bed)
      return { node, server }
    }),
  )
}
