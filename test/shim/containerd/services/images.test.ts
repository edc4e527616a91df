import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Calls } from '../../../../lib/grpc/client.ts'
import { connectContainerd } from '../../../../shim/containerd/connect.ts'
import { type ContainerdImages, createContainerdImages } from '../../../../shim/containerd/image-records.ts'
import { labelBlob, writeBlob } from '../../../../shim/containerd/services/content.ts'
import { getImage, type ImageRecord, putImage } from '../../../../shim/containerd/services/images.ts'
import { knownDiffId } from '../../../../shim/containerd/unpack.ts'
import { oneChunk } from '../../../../shim/import/streams/streams.ts'
import { type Bed, startBed } from '../../../node/bed.ts'

/** Lower than containerd's 16 MiB, which only thousands of records fill. */
const MAX_MESSAGE = 24 * 1024
const FORM = { snapshotter: 'overlayfs', layers: 'linked' } as const

let bed: Bed
let images: ContainerdImages
const target = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: `sha256:${'0'.repeat(64)}`, size: 1 }
beforeAll(async () => {
  bed = await startBed({ without: ['nix'], containerd: { maxMessage: MAX_MESSAGE } })
  images = createContainerdImages({ address: bed.containerdSocket, form: FORM })
})
afterAll(async () => {
  images.close()
  await bed[Symbol.asyncDispose]()
})

async function withCalls<T>(use: (calls: Calls) => Promise<T>): Promise<T> {
  using client = connectContainerd({ address: bed.containerdSocket })
  return await use(client)
}

describe('the look-ups of images', () => {
  const labels = { 'example/label': 'x' }
  const name = 'registry.example/found:1'
  beforeEach(() =>
    withCalls(async calls => {
      await putImage(calls, { name, labels, target })
      await putImage(calls, { name: 'registry.example/other:1', labels: {}, target })
    }),
  )

  it('return undefined for an unknown image', async () => {
    expect(await images.find('registry.example/absent:1')).toBeUndefined()
    expect(await images.present('registry.example/absent:1')).toBeUndefined()
    expect(await images.withLabel('example/no-label')).toEqual([])
  })

  it('find records by name and by label', async () => {
    expect(await images.find(name)).toEqual({ name, labels, target })
    expect(await images.withLabel('example/label')).toEqual([{ name, labels, target, updatedAt: expect.any(Number) }])
  })

  it('find all records that have the label, even if they do not fit into one message', async () => {
    const values = [...Array.from({ length: 30 }, (_, number) => `${number.toString(16)}f`), 'no digest', 'aa', 'aab']
    const filling = { filling: 'x'.repeat(1500) }
    await withCalls(calls =>
      Promise.all(
        values.map((value, number) =>
          putImage(calls, {
            name: `registry.example/many:${number}`,
            labels: { 'example/many': value, ...filling },
            target,
          }),
        ),
      ),
    )
    const found = await images.withLabel('example/many')
    expect(found.map(({ labels }) => labels['example/many']).sort()).toEqual(values.sort())
  })

  it('work again after containerd has been restarted', async () => {
    await bed.containerd.restart()
    expect(await images.find(name)).toBeDefined()
  })

  it('continue as soon as containerd comes back', async () => {
    await bed.containerd.stop()
    const [found] = await Promise.all([images.find(name), bed.containerd.start()])
    expect(found).toBeDefined()
  })

  it('throw ContainerdAway if containerd stays away', async () => {
    const away = createContainerdImages({ address: `${bed.dir}/nobody.sock`, form: FORM })
    await expect(away.find('registry.example/found:1')).rejects.toMatchObject({ code: 'ContainerdAway' })
    away.close()
  })
})

it('the diffID of a layer that was unpacked as a tar does not count for a compressed layer', async () => {
  const TAR = 'application/vnd.oci.image.layer.v1.tar'
  const known = await withCalls(async calls => {
    const { digest } = await writeBlob(calls, { ref: 'two-faced' }, oneChunk(Buffer.from('two-faced')))
    await labelBlob(calls, digest, { 'containerd.io/uncompressed': digest })
    const as = (mediaType: string) => knownDiffId({ id: '', calls }, { digest, mediaType })
    return {
      isTar: (await as(TAR)) === digest,
      gzip: await as(`${TAR}+gzip`),
      docker: await as('application/vnd.docker.image.rootfs.diff.tar'),
    }
  })
  expect(known).toEqual({ isTar: true, gzip: undefined, docker: undefined })
})

it('putImage keeps the labels of an existing record that are not given', async () => {
  const record = { name: 'registry.example/twice:1', labels: { one: '1', two: '2' }, target }
  const other = { ...target, digest: `sha256:${'1'.repeat(64)}` }
  const found = await withCalls(async calls => {
    await putImage(calls, record)
    await putImage(calls, { ...record, labels: { two: 'II' }, target: other })
    return getImage(calls, record.name)
  })
  expect(found).toEqual({ name: record.name, labels: { one: '1', two: 'II' }, target: other })
})

it('putImage leaves a record unchanged that must not be changed', async () => {
  const record = { name: 'registry.example/stays:1', labels: { owner: 'somebody' }, target }
  const mayChange = (present: ImageRecord): boolean => {
    throw new Error(`owned by ${present.labels.owner}`)
  }
  await withCalls(async calls => {
    await putImage(calls, record, { mayChange })
    const again = putImage(calls, { ...record, labels: { owner: 'me' } }, { mayChange })
    await expect(again).rejects.toThrow('owned by somebody')
    expect(await getImage(calls, record.name)).toEqual(record)
  })
})

describe('a blob', () => {
  const chunks = async function* (count: number) {
    for (let index = 0; index < count; index += 1) yield Buffer.alloc(100_000, index)
  }

  it('is written in many messages and gets its digest', async () => {
    const written = await withCalls(calls => writeBlob(calls, { ref: 'many' }, chunks(50)))
    expect(written.size).toBe(5_000_000)
    const stored = await bed.run('ctr', ['-a', bed.containerdSocket, '-n', 'k8s.io', 'content', 'ls', '-q'])
    expect(stored.stdout).toContain(written.digest)
  })

  it('that exists already is not an error', async () => {
    const first = await withCalls(calls => writeBlob(calls, { ref: 'first' }, chunks(3)))
    expect(await withCalls(calls => writeBlob(calls, { ref: 'second' }, chunks(3)))).toEqual(first)
  })

  it('can be empty', async () => {
    expect(await withCalls(calls => writeBlob(calls, { ref: 'empty' }, chunks(0)))).toMatchObject({ size: 0 })
  })

  it('is aborted if its source fails', async () => {
    const failing = async function* () {
      yield* chunks(30)
      throw new Error('source broke')
    }
    await expect(withCalls(calls => writeBlob(calls, { ref: 'failing' }, failing()))).rejects.toThrow('source broke')
    const active = await bed.run('ctr', ['-a', bed.containerdSocket, '-n', 'k8s.io', 'content', 'active'])
    expect(active.stdout).not.toContain('failing')
  })
})
