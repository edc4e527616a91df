import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { connectContainerd } from '../../../shim/containerd/connect.ts'
import { endLease, underLease } from '../../../shim/import/helper/leases.ts'
import type { ImportProgress } from '../../../shim/import/image/contract.ts'
import { descendants } from '../../node/process-tree.ts'
import { PATIENT_BY_PROGRAM } from '../../patience.ts'
import { dockerEntries, makeImage } from './image.ts'
import { type ImportNode, startImportNode } from './import-node.ts'
import { tar } from './tar.ts'

const nodes: ImportNode[] = []
const children: ChildProcess[] = []
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await Promise.all(nodes.splice(0).map(node => node[Symbol.asyncDispose]()))
})

async function startNode(...options: Parameters<typeof startImportNode>): Promise<ImportNode> {
  const node = await startImportNode(...options)
  nodes.push(node)
  return node
}

/** An archive that is imported so slowly that an import that has begun to read it is far from its end. */
const LAYER_BYTES = 48_000_000

async function addLarge(node: ImportNode) {
  const image = makeImage([await tar([{ name: 'noise', content: randomBytes(LAYER_BYTES) }])])
  return { path: await node.addFile('large', await tar(dockerEntries(image))), image }
}

/** Starts an import and waits until it has read some bytes. */
async function startHalf(node: ImportNode, storePath: string, signal = new AbortController().signal) {
  const started = Promise.withResolvers<ImportProgress>()
  const result = node.importImage(storePath, { signal, onProgress: started.resolve })
  result.catch(started.reject)
  await started.promise
  return { result }
}

it('an import fails with a retryable error when containerd is killed, and the next one works', async () => {
  const node = await startNode()
  const large = await addLarge(node)
  const { result } = await startHalf(node, large.path)
  const failed = expect(result).rejects.toMatchObject({ code: 'ContainerdAway', retryable: true })
  await node.bed.containerd.kill()
  await failed
  await node.bed.containerd.start()
  // Without another import.
  await expect.poll(async () => (await node.contents()).leases, PATIENT_BY_PROGRAM).toEqual([])
  expect(await node.importImage(large.path)).toMatchObject({ imageId: large.image.id })
  await node.collect()
  expect(await node.contents()).toMatchObject({ leases: [], unfinished: [] })
})

it('a lease that outlives a successful import, because containerd was gone, is reported as left over', async () => {
  const node = await startNode()
  using client = connectContainerd(node.options.containerd)
  const owner = { lease: 'left', importer: 'importer', process: 'process' }
  const onEnded = vi.fn()
  const use = async () => {
    await node.bed.containerd.kill()
    return 'made'
  }
  const made = underLease(client, owner, use, { onEnded, releaseMs: 100 })
  await expect(made).resolves.toBe('made')
  expect(onEnded).not.toHaveBeenCalled()
  await node.bed.containerd.start()
  await endLease({ ...node.options.containerd, namespace: 'k8s.io' }, 'left')
  expect((await node.contents()).leases).toEqual([])
})

it('an import fails with a retryable error when containerd is away from the start', async () => {
  const node = await startNode({ without: ['nix', 'containerd'] })
  const path = await node.addFile('any', await tar(dockerEntries(makeImage([]))))
  await expect(node.importImage(path)).rejects.toMatchObject({ code: 'ContainerdAway', retryable: true })
})

it('an import waits for a containerd that is starting', async () => {
  const node = await startNode({ without: ['nix', 'containerd'] })
  const image = makeImage([await tar([{ name: 'file', content: 'early' }])])
  const path = await node.addFile('early', await tar(dockerEntries(image)))
  const [imported] = await Promise.all([node.importImage(path), node.bed.containerd.start({ wait: false })])
  expect(imported.imageId).toBe(image.id)
})

it('a cancelled import leaves nothing', async () => {
  const node = await startNode()
  const untouched = await node.contents()
  const large = await addLarge(node)
  const cancel = new AbortController()
  const { result } = await startHalf(node, large.path, cancel.signal)
  cancel.abort()
  await expect(result).rejects.toMatchObject({ code: 'Cancelled', retryable: true })
  expect(await node.contents()).toEqual(untouched)
})

it('an import fails with a retryable error when the disk is full, leaves nothing, and works when there is room', async () => {
  const node = await startNode({ without: ['nix', 'containerd'] })
  const { bed } = node
  await bed.run('mkdir', ['-p', bed.containerdRoot])
  await bed.run('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', bed.containerdRoot])
  await bed.containerd.start()
  const untouched = await node.contents()
  const image = makeImage([await tar([{ name: 'noise', content: randomBytes(12_000_000) }])])
  const path = await node.addFile('too-large', await tar(dockerEntries(image)))
  await expect(node.importImage(path)).rejects.toMatchObject({ code: 'DiskFull', retryable: true })
  expect(await node.contents()).toEqual(untouched)
  await bed.run('mount', ['-o', 'remount,size=64m', bed.containerdRoot])
  expect(await node.importImage(path)).toMatchObject({ imageId: image.id })
})

it('an import fails with a retryable error when the disk becomes full while it unpacks', async () => {
  const node = await startNode({ without: ['nix', 'containerd'] })
  const { bed } = node
  await bed.run('mkdir', ['-p', bed.containerdRoot])
  await bed.run('mount', ['-t', 'tmpfs', '-o', 'size=18m', 'tmpfs', bed.containerdRoot])
  await bed.containerd.start()
  const image = makeImage([await tar([{ name: 'noise', content: randomBytes(12_000_000) }])])
  const path = await node.addFile('too-large', await tar(dockerEntries(image)))
  await expect(node.importImage(path)).rejects.toMatchObject({ code: 'DiskFull', retryable: true })
  expect(await node.contents()).toMatchObject({ blobs: [], snapshots: [], leases: [] })
})

it('an import that is killed leaves only what the next import removes', async () => {
  const node = await startNode()
  const large = await addLarge(node)
  const child = await startImportingProcess(node, large.path)
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect((await node.contents()).leases).toHaveLength(1)

  expect(await node.importImage(large.path)).toMatchObject({ imageId: large.image.id })
  await node.collect()
  expect(await node.contents()).toMatchObject({
    leases: [],
    unfinished: [],
    blobs: { length: 3 },
    snapshots: { length: 1 },
  })
})

it('a helper that is killed fails its own import with a retryable error, and no other', async () => {
  const node = await startNode()
  const large = await addLarge(node)
  const before = new Set(descendants(process.pid))
  const { result } = await startHalf(node, large.path)
  const failed = expect(result).rejects.toMatchObject({
    ...{ code: 'ImportInterrupted', retryable: true },
    message: 'the import broke off: its process ended (SIGKILL)',
  })
  for (const helper of descendants(process.pid).filter(pid => !before.has(pid))) process.kill(helper, 'SIGKILL')
  await failed
  expect(await node.importImage(large.path)).toMatchObject({ imageId: large.image.id })
})

/** A separate process in the middle of an import. */
async function startImportingProcess({ options }: ImportNode, storePath: string): Promise<ChildProcess> {
  const { logger: _, ...rest } = options
  const job = JSON.stringify({ options: rest, storePath, image: 'registry.example/team/app:1' })
  const program = join(import.meta.dirname, 'importing-process.ts')
  const child = spawn(process.execPath, [program, job], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  await once(child.stdout, 'data')
  return child
}
