import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { podNetwork } from '../../test/cluster/node.ts'
import { type Bed, startBed } from '../../test/node/bed.ts'
import { NEWER_CONTAINERD } from '../../test/node/programs.ts'
import { type Account, type Registry, startRegistry } from './registry.ts'

export interface NodeWithRegistry extends AsyncDisposable {
  readonly bed: Bed
  /** Whatever host an image reference names, containerd asks this one. */
  readonly registry: Registry
  /** Adds a registry that wants an account, for references of this host. */
  addPrivateRegistry(host: string, account: Account): Promise<Registry>
}

/** A node with an empty registry of its own. */
export async function startNodeWithRegistry(): Promise<NodeWithRegistry> {
  const mirrors = await mkdtemp(join(tmpdir(), 'enbi-mirrors-'))
  await using parts = new AsyncDisposableStack()
  parts.defer(() => rm(mirrors, { recursive: true }))
  const containerd = { programs: NEWER_CONTAINERD.dir, network: await podNetwork(), mirrors }
  const bed = parts.use(await startBed({ containerd }))
  const registry = await startRegistry(bed.namespace, { name: 'registry' })
  await writeMirror(mirrors, '_default', registry)
  const kept = parts.move()
  return {
    bed,
    registry,
    async addPrivateRegistry(host, account) {
      const added = await startRegistry(bed.namespace, { name: `registry-${host}`, account })
      await writeMirror(mirrors, host, added)
      return added
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

async function writeMirror(mirrors: string, name: string, { host }: Registry): Promise<void> {
  await mkdir(join(mirrors, name))
  await writeFile(join(mirrors, name, 'hosts.toml'), `[host."http://${host}"]\n  capabilities = ["pull", "resolve"]\n`)
}
