import { randomUUID } from 'node:crypto'
import { RetryableError } from '../../lib/errors.ts'
import { addSource, digestName, sourceLabel } from './mirrors.ts'
import { IMAGE_ID_LABEL } from './services/constants.ts'
import { blobInfo, labelBlob, writeBlob } from './services/content.ts'
import { waitUntilVisible } from './services/cri.ts'
import type { Descriptor, DocumentBlob, Layer } from './services/descriptor.ts'
import { getImage, type ImageRecord, putImage } from './services/images.ts'
import { hold, type Lease } from './services/leases.ts'
import { formLabels, type ImageForm } from './usable.ts'

export interface ImageWriterOptions {
  readonly lease: Lease
  readonly form: ImageForm
  /** Normalized reference of the image. */
  readonly image: string
}

export interface ImageDocuments {
  readonly config: DocumentBlob
  readonly manifest: DocumentBlob
  readonly layers: readonly Layer[]
  /** ChainID of the top layer, empty when there is no layer. */
  readonly chainId: string
}

export interface ImageNames {
  readonly config: DocumentBlob
  readonly manifest: DocumentBlob
  readonly layers: readonly Layer[]
  /** ChainID of the top layer, empty when there is no layer. */
  readonly chainId: string
  /** For the image records. */
  readonly labels: Readonly<Record<string, string>>
  /** Throws if the record that already has the image's name must not be changed. */
  readonly check: (present: ImageRecord) => void
}

/** Writes one image into containerd: its blobs first, its records last. */
export interface ImageWriter {
  /** Size in bytes of a blob that containerd has. From then on the lease holds it. */
  find(digest: string): Promise<number | undefined>
  /** Whether containerd has the blob. The lease does not hold it. */
  has(digest: string): Promise<boolean>
  write(bytes: AsyncIterable<Buffer>): Promise<{ digest: string; size: number }>
  /** Writes config and manifest. From then on the lease holds the layers and the snapshot that they name, if these exist. */
  writeDocuments(image: ImageDocuments): Promise<void>
  /** Writes the image records. Resolves when CRI answers with the image. */
  publish(image: ImageNames): Promise<void>
  /** Bytes written so far. */
  sentBytes(): number
}

export function createImageWriter({ lease, form, image: name }: ImageWriterOptions): ImageWriter {
  // Otherwise mirrors would send other nodes to layers that exist only as files here.
  const isServed = form.layers === 'tar'
  const source = isServed ? sourceLabel(name) : {}
  let sent = 0

  async function find(digest: string): Promise<number | undefined> {
    await hold(lease, { content: digest })
    return (await blobInfo(lease.calls, digest))?.size
  }

  async function write(bytes: AsyncIterable<Buffer>, labels: Readonly<Record<string, string>> = {}) {
    const blob = await writeBlob(
      lease.calls,
      { ref: `enbi-shim-${randomUUID()}`, labels: { ...source, ...labels } },
      bytes,
    )
    await hold(lease, { content: blob.digest })
    sent += blob.size
    return blob
  }

  async function ensure({ digest, bytes }: DocumentBlob, labels: Readonly<Record<string, string>>): Promise<void> {
    const there = await blobInfo(lease.calls, digest)
    if (there) await hold(lease, { content: digest })
    // It may have been collected before the lease held it.
    const present = there && (await blobInfo(lease.calls, digest))
    if (!present) await write(once(bytes), labels)
    else if (Object.entries(labels).some(([label, value]) => present.labels[label] !== value))
      await labelBlob(lease.calls, digest, labels)
  }

  return {
    find,
    has: async digest => (await blobInfo(lease.calls, digest)) !== undefined,
    write: bytes => write(bytes),
    sentBytes: () => sent,
    async writeDocuments({ config, manifest, layers, chainId }) {
      const reference = chainId === '' ? {} : { [`containerd.io/gc.ref.snapshot.${form.snapshotter}`]: chainId }
      await Promise.all([ensure(config, reference), ensure(manifest, contentReferences(config, layers))])
    },
    async publish({ config, manifest, layers, chainId, labels, check }) {
      const { mediaType, digest, size } = manifest
      const record = {
        target: { mediaType, digest, size },
        labels: {
          ...labels,
          ...formLabels(form, chainId),
          [IMAGE_ID_LABEL]: config.digest,
          [MANAGED_LABEL]: 'managed',
        },
      }
      // Checked before the first record is written: a rejection would leave that record behind.
      const present = await getImage(lease.calls, name)
      if (present) check(present)
      const mayChange = (other: ImageRecord) => {
        check(other)
        return true
      }
      if (isServed) await addSource(lease.calls, [...layers, config, manifest], source)
      // The kubelet may remove the image meanwhile, for example to free disk space. The lease still holds all its parts.
      for (let tries = 1; tries <= PUBLISH_TRIES; tries += 1) {
        // In this order CRI picks up the image whatever the name pointed at before.
        await putImage(
          lease.calls,
          { ...record, name: config.digest },
          { mayChange: other => isSameTarget(other, record) || isLabelled(other, labels) },
        )
        if (isServed && !name.includes('@'))
          await putImage(lease.calls, { ...record, name: digestName(name, digest) }, { mayChange: () => false })
        await putImage(lease.calls, { ...record, name }, { mayChange })
        if ((await waitUntilVisible(lease.calls, name, config.digest)) === 'visible') return
      }
      throw new RetryableError(
        'ImageNotVisible',
        `the image ${name} was removed from containerd ${PUBLISH_TRIES} times before CRI knew it`,
      )
    },
  }
}

/** Images that are removed even faster are removed on purpose. */
const PUBLISH_TRIES = 3

/** A record of the same image id may point at another manifest, which the shim has not written. */
function isSameTarget(one: Pick<ImageRecord, 'target'>, other: Pick<ImageRecord, 'target'>): boolean {
  return one.target.digest === other.target.digest
}

/** Whether the shim has written the record, perhaps for another recipe. */
function isLabelled(one: Pick<ImageRecord, 'labels'>, labels: Readonly<Record<string, string>>): boolean {
  return Object.keys(labels).some(label => label in one.labels)
}

/** CRI manages images with this label. */
const MANAGED_LABEL = 'io.cri-containerd.image'

function contentReferences(config: Descriptor, layers: readonly Descriptor[]): Record<string, string> {
  return {
    'containerd.io/gc.ref.content.config': config.digest,
    ...Object.fromEntries(layers.map(({ digest }, index) => [`containerd.io/gc.ref.content.l.${index}`, digest])),
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
