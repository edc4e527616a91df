import { mkdtempDisposable, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, expect, it, vi } from 'vitest'
import type { Kube } from '../../../../kube/client/contract.ts'
import { nixBuilds } from '../../../../kube/resources/nixbuild.ts'
import { createImageEntries, type ImageEntriesOptions } from '../../../../shim/cluster/builds/present-images.ts'
import { createNixBuildStore } from '../../../../shim/cluster/nixbuild-store.ts'
import type { ImageRecords } from '../../../../shim/pull/contract.ts'
import { useKube } from '../../../kube/use-kube.ts'
import { PATIENT } from '../../../patience.ts'
import { NODE, nixBuild } from './nixbuilds.ts'

type Listed = Awaited<ReturnType<ImageRecords['withLabel']>>

const entry = { namespace: 'team', name: 'web', recipe: 'key' }

afterEach(() => void vi.useRealTimers())

it('many changes of images during a check cause one more check', async () => {
  const target = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: 'sha256:0', size: 1 }
  const there = [{ name: 'web:1', labels: { 'enbi.hrzn.ee/recipe': entry.recipe }, target, updatedAt: 0 }]
  const { promise: answered, resolve: answer } = Promise.withResolvers<Listed>()
  let looks = 0
  await using bed = await begin(async () => {
    looks += 1
    return looks === 1 ? answered : there
  })
  bed.entries.remember(entry)
  await expect.poll(bed.saved, PATIENT).toContain('"web"')
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  for (let times = 0; times < 5; times += 1) {
    bed.entries.check()
    vi.advanceTimersByTime(1000)
  }
  vi.useRealTimers()
  await expect.poll(() => looks, PATIENT).toBe(1)
  answer(there)
  // Whatever has been begun before is over when this is there.
  bed.entries.remember({ ...entry, name: 'last' })
  await expect.poll(bed.saved, PATIENT).toContain('"last"')
  expect(looks).toBeLessThanOrEqual(2)
  await expect.poll(() => looks, PATIENT).toBe(2)
})

it('an entry whose removal is refused does not keep others from being removed', async () => {
  await using cluster = await useKube()
  const { kube } = cluster
  const { namespace } = cluster.name
  await kube.create(nixBuilds, { namespace, name: 'web', body: { spec: nixBuild().spec } })
  const say = (status: object, fieldManager: string) =>
    kube.patch(nixBuilds, { namespace, name: 'web', body: { status } }, { ...STATUS, fieldManager })
  await say({ status: 'Succeeded', buildNode: 'node-2' }, 'enbi-shim-node-2')
  await say({ nodes: [{ name: NODE }] }, `enbi-shim-${NODE}`)
  const only = await clientOf(cluster.cluster, namespace)
  await using bed = await begin(async () => [], only)
  bed.entries.remember({ ...entry, namespace: 'kube-public' })
  bed.entries.remember({ ...entry, namespace })
  await expect.poll(bed.saved, PATIENT).toContain(namespace)
  bed.entries.check()
  await expect.poll(bed.saved, PATIENT).not.toContain(namespace)
  expect(await bed.saved()).toContain('kube-public')
  expect(await kube.get(nixBuilds, { namespace, name: 'web' })).toMatchObject({ status: { nodes: [] } })
})

const STATUS = { type: 'apply', subresource: 'status' } as const

/** Of somebody who has the rights of a shim in that namespace alone. */
async function clientOf(cluster: Awaited<ReturnType<typeof useKube>>['cluster'], namespace: string): Promise<Kube> {
  const role = ['create', 'rolebinding', 'shim', `--namespace=${namespace}`, '--clusterrole=enbi-shim']
  await cluster.kubectl([...role, `--serviceaccount=${namespace}:default`])
  const token = await cluster.createToken({ namespace, serviceAccount: 'default' })
  return cluster.client(await cluster.kubeconfig({ token }))
}

async function begin(withLabel: () => Promise<Listed>, kube?: Kube) {
  const folder = await mkdtempDisposable(join(tmpdir(), 'image-entries-'))
  const stop = new AbortController()
  const noKube = async (): Promise<Kube> => Promise.reject(new Error('nothing is to be taken back'))
  const options: ImageEntriesOptions = {
    stateDir: folder.path,
    store: createNixBuildStore({ kube: kube ? async () => kube : noKube, node: NODE }),
    images: async () => ({ withLabel }),
    node: NODE,
    activeKeys: () => new Set(),
    signal: stop.signal,
    logger: pino({ level: 'silent' }),
  }
  return {
    entries: createImageEntries(options),
    saved: () => readFile(join(folder.path, 'nixbuilds.json'), 'utf8').catch(() => ''),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await folder[Symbol.asyncDispose]()
    },
  }
}
