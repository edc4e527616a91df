import * as v from 'valibot'
import type { Calls } from '../../../lib/grpc/client.ts'
import { hasStatus, unlessMissing } from '../../../lib/grpc/grpc-error.ts'
import { loadService, type Method } from '../../../lib/grpc/methods.ts'
import { STATUS } from '../../../lib/grpc/status.ts'

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

/**
 * Every image record that has the label, however many these are. More than go into one answer are asked for by the beginnings of
 * the label's values, which are digests for the most part.
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

/** Some 1,500 records: others wait while they are read. */
const MAX_LIST_BYTES = 1024 * 1024
/** Whoever chooses what the digests are of can make them begin alike, but not for so long. */
const MOST_DIGITS = 16

async function listImages(calls: Calls, label: string, values: string): Promise<readonly FoundImage[]> {
  const field = `labels.${JSON.stringify(label)}`
  // A label that is missing has the empty value, too.
  const filters = [`${field},${field}~=${JSON.stringify(values)}`]
  return (await calls.unary(LIST, { filters }, { maxBytes: MAX_LIST_BYTES })).images
}

export interface PutImage {
  /** Whether the record that is there may be changed; it stays as it is when this throws, too. */
  readonly mayChange?: (present: ImageRecord) => boolean
}

/** Creates the record, or points the one of that name at the new target; labels that are not given are kept. */
export async function putImage(calls: Calls, image: ImageRecord, { mayChange }: PutImage = {}): Promise<void> {
  try {
    await calls.unary(CREATE, { image })
  } catch (error) {
    if (!hasStatus(error, STATUS.ALREADY_EXISTS)) throw error
    const present = mayChange && (await getImage(calls, image.name))
    if (present && !mayChange(present)) return
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
