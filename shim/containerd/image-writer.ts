import { randomUUID } from 'node:crypto'
import { RetryableError } from '../../lib/errors.ts'
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
  /** Normalised reference of the image. */
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
  /** ChainID of the top layer, empty when there is no layer. */
  readonly chainId: string
  /** For the image records. */
  readonly labels: Readonly<Record<string, string>>
  /** Throws when a record that has the image's name must stay as it is. */
  readonly check: (present: ImageRecord) => void
}

/** Writes one image into containerd: its blobs first, its records last. */
export interface ImageWriter {
  /** Size in bytes of a blob that is there, and now held by the lease. */
  find(digest: string): Promise<number | undefined>
  /** Whether a blob is there. It stays only when something else holds it. */
  has(digest: string): Promise<boolean>
  write(bytes: AsyncIterable<Buffer>): Promise<{ digest: string; size: number }>
  /** Config and manifest. From then on the lease holds the layers and the snapshot that they name, as far as those are there. */
  writeDocuments(image: ImageDocuments): Promise<void>
  /** The records; resolves when CRI answers with the image. */
  publish(image: ImageNames): Promise<void>
  /** Bytes that were written. */
  sentBytes(): number
}

export function createImageWriter({ lease, form, image: name }: ImageWriterOptions): ImageWriter {
  const source = sourceLabel(name)
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
    // Until it was held it may have been collected.
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
    async publish({ config, manifest, chainId, labels, check }) {
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
      // Before the first record, which a refusal would leave.
      const present = await getImage(lease.calls, name)
      if (present) check(present)
      const mayChange = (other: ImageRecord) => {
        check(other)
        return true
      }
      // Who removes an image, as the kubelet does for want of room, takes what its name points at by then. The lease has it all still.
      for (let tries = 1; tries <= PUBLISH_TRIES; tries += 1) {
        // In this order CRI takes up the image whatever the name pointed at before.
        await putImage(
          lease.calls,
          { ...record, name: config.digest },
          { mayChange: other => isSameTarget(other, record) || isLabelled(other, labels) },
        )
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

/** Whoever removes images faster does so on purpose. */
const PUBLISH_TRIES = 3

/** A record of the same image id may be of another manifest, and somebody else's. */
function isSameTarget(one: Pick<ImageRecord, 'target'>, other: Pick<ImageRecord, 'target'>): boolean {
  return one.target.digest === other.target.digest
}

/** Whether it was put there for the same purpose, be it for another recipe. */
function isLabelled(one: Pick<ImageRecord, 'labels'>, labels: Readonly<Record<string, string>>): boolean {
  return Object.keys(labels).some(label => label in one.labels)
}

/** CRI takes care of images with this label. */
const MANAGED_LABEL = 'io.cri-containerd.image'

function contentReferences(config: Descriptor, layers: readonly Descriptor[]): Record<string, string> {
  return {
    'containerd.io/gc.ref.content.config': config.digest,
    ...Object.fromEntries(layers.map(({ digest }, index) => [`containerd.io/gc.ref.content.l.${index}`, digest])),
  }
}

/** Where a blob comes from: who serves images to other nodes goes by this label, and only when the commit sets it. */
function sourceLabel(name: string): Record<string, string> {
  const [, host, repository] = /^([^/:]+)(?::\d+)?\/([^@:]+)/.exec(name) ?? []
  return host && repository ? { [`containerd.io/distribution.source.${host}`]: repository } : {}
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
