import * as v from 'valibot'
import { STATUS } from '../grpc/status.ts'
import type { Calls } from './calls.ts'
import { hasStatus, unlessMissing } from './grpc-error.ts'
import { loadService, type Method } from './protos.ts'

/** A name that points at a manifest. */
export interface ImageRecord {
  /** Normalised reference. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly target: { readonly mediaType: string; readonly digest: string; readonly size: number }
}

/** As it is found. */
export interface FoundImage extends ImageRecord {
  /** When it was made, or pointed at another target; in milliseconds since 1970. */
  readonly updatedAt: number
}

export async function getImage(calls: Calls, name: string): Promise<ImageRecord | undefined> {
  return (await unlessMissing(calls.unary(GET, { name })))?.image
}

/** Every image record that has the label. */
export async function imagesWithLabel(calls: Calls, label: string): Promise<readonly FoundImage[]> {
  const { images } = await calls.unary(LIST, { filters: [`labels.${JSON.stringify(label)}`] })
  return images
}

export interface PutImage {
  /** Throws when the record that is there must stay as it is. */
  readonly check?: (present: ImageRecord) => void
}

/** Creates the record, or points the one of that name at the new target; labels that are not given are kept. */
export async function putImage(calls: Calls, image: ImageRecord, { check }: PutImage = {}): Promise<void> {
  try {
    await calls.unary(CREATE, { image })
  } catch (error) {
    if (!hasStatus(error, STATUS.ALREADY_EXISTS)) throw error
    const present = check && (await getImage(calls, image.name))
    if (present) check(present)
    const paths = ['target', ...Object.keys(image.labels).map(label => `labels.${label}`)]
    await calls.unary(UPDATE, { image, updateMask: { paths } })
  }
}

const target = v.object({ mediaType: v.string(), digest: v.string(), size: v.number() })
const image = v.object({ name: v.string(), labels: v.record(v.string(), v.string()), target })

const timestamp = v.object({ seconds: v.number(), nanos: v.number() })
const foundImage = v.object({
  ...image.entries,
  updatedAt: v.pipe(
    timestamp,
    v.transform(({ seconds, nanos }) => seconds * 1000 + Math.floor(nanos / 1e6)),
  ),
})

interface UpdateRequest {
  readonly image: ImageRecord
  readonly updateMask: { readonly paths: readonly string[] }
}

const method = loadService('images.proto', 'containerd.services.images.v1.Images')
const GET: Method<{ name: string }, { image: ImageRecord }> = method('Get', v.object({ image }))
const LIST: Method<{ filters: string[] }, { images: FoundImage[] }> = method(
  'List',
  v.object({ images: v.array(foundImage) }),
)
const CREATE: Method<{ image: ImageRecord }, object> = method('Create', v.object({ image }))
const UPDATE: Method<UpdateRequest, object> = method('Update', v.object({ image }))
