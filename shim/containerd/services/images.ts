import type { Calls } from '../../../lib/grpc/client.ts'
import { hasStatus, unlessMissing } from '../../../lib/grpc/grpc-error.ts'
import { loadService, requireField } from '../../../lib/grpc/service.ts'
import { STATUS } from '../../../lib/grpc/status.ts'
import type { Image__Output } from '../../../protos/generated/containerd/services/images/v1/Image.ts'
import type { ImagesDefinition } from '../../../protos/generated/containerd/services/images/v1/Images.ts'
import type { Descriptor } from './descriptor.ts'

const IMAGES = loadService<ImagesDefinition>('images.proto', 'containerd.services.images.v1.Images')

/** A name that points at a manifest. */
export interface ImageRecord {
  /** Normalized reference. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly target: Descriptor
}

export interface FoundImage extends ImageRecord {
  /** Time when it was created or pointed at another target, in milliseconds since 1970. */
  readonly updatedAt: number
}

export async function getImage(calls: Calls, name: string): Promise<ImageRecord | undefined> {
  const answer = await unlessMissing(calls.unary(IMAGES.Get, { name }))
  return answer && toRecord(requireField(IMAGES.Get, answer, 'image'))
}

/**
 * Every image record that has the label. If they do not fit into one answer, they are requested by the first digits of the
 * label's values, most of which are digests.
 */
export async function imagesWithLabel(calls: Calls, label: string, beginning = ''): Promise<readonly FoundImage[]> {
  try {
    return await listImages(calls, label, `^${beginning}`)
  } catch (error) {
    if (!hasStatus(error, STATUS.RESOURCE_EXHAUSTED) || beginning.length === MOST_DIGITS) throw error
  }
  const found = [...(await listImages(calls, label, `^${beginning}([^0-9a-f]|$)`))]
  for (const digit of '0123456789abcdef')
    for (const image of await imagesWithLabel(calls, label, beginning + digit)) found.push(image)
  return found
}

/** About 1,500 records. The thread does nothing else while it decodes an answer. */
const MAX_LIST_BYTES = 1024 * 1024
/** An attacker can make digests begin alike, but not for this long. */
const MOST_DIGITS = 16

async function listImages(calls: Calls, label: string, values: string): Promise<readonly FoundImage[]> {
  const field = `labels.${JSON.stringify(label)}`
  // The second condition alone would also match records without the label, whose value is empty.
  const filters = [`${field},${field}~=${JSON.stringify(values)}`]
  return (await calls.unary(IMAGES.List, { filters }, { maxBytes: MAX_LIST_BYTES })).images.map(toFoundImage)
}

export interface PutImage {
  /** Whether the existing record may be changed. It also stays unchanged if this throws. */
  readonly mayChange?: (present: ImageRecord) => boolean
}

/** Creates the record, or points the existing one at the new target. Labels that are not given are kept. */
export async function putImage(calls: Calls, image: ImageRecord, { mayChange }: PutImage = {}): Promise<void> {
  try {
    await calls.unary(IMAGES.Create, { image })
  } catch (error) {
    if (!hasStatus(error, STATUS.ALREADY_EXISTS)) throw error
    const present = mayChange && (await getImage(calls, image.name))
    if (present && !mayChange(present)) return
    const paths = ['target', ...Object.keys(image.labels).map(label => `labels.${label}`)]
    await calls.unary(IMAGES.Update, { image, updateMask: { paths } })
  }
}

function toRecord(image: Image__Output): ImageRecord {
  const { name, labels } = image
  const { mediaType, digest, size } = requireField(IMAGES.Get, image, 'target')
  return { name, labels, target: { mediaType, digest, size } }
}

function toFoundImage(image: Image__Output): FoundImage {
  const { seconds, nanos } = requireField(IMAGES.List, image, 'updatedAt')
  return { ...toRecord(image), updatedAt: seconds * 1000 + Math.floor(nanos / 1e6) }
}
