import { messageOf } from '../../lib/errors.ts'
import { askInTime } from '../containerd/connect.ts'
import type { ContainerdImages } from '../containerd/image-records.ts'
import { withoutDoubles } from '../containerd/mirrors.ts'
import type { FoundImage } from '../containerd/services/images.ts'
import { RECIPE_LABEL, STORE_PATH_LABEL } from '../pull/image-of-recipe.ts'

export interface KeptImagesOptions {
  readonly images: () => Promise<Pick<ContainerdImages, 'withLabel' | 'all'>>
}

export interface KeptImage {
  /** Normalized reference; undefined if it now names another image. */
  readonly image: string | undefined
  /** Config digest, if it is known. */
  readonly imageId: string | undefined
  readonly storePath: string | undefined
  /** Bytes, if known. */
  readonly size: number | undefined
  /** In milliseconds since 1970. */
  readonly updatedAt: number
}

export interface KeptImages {
  /** Sorted by name. */
  readonly images: readonly KeptImage[]
  /** Why containerd did not answer. */
  readonly problem: string | undefined
}

/** The images in containerd that the shim made. Takes a bounded time and never throws. */
export function createKeptImages({ images }: KeptImagesOptions): () => Promise<KeptImages> {
  const ask = askInTime(async () => {
    const records = await images()
    const [labelled, known] = await Promise.all([records.withLabel(RECIPE_LABEL), records.all()])
    return pairUp(labelled, new Map(known.map(({ id, size }) => [id, size])))
  })
  return async () => {
    try {
      return { images: await ask(), problem: undefined }
    } catch (error) {
      return { images: [], problem: messageOf(error) }
    }
  }
}

const ID = /^sha256:/

/** One image has two records, its name and its id, with the same target; in tar mode also its digest. */
function pairUp(records: readonly FoundImage[], sizes: ReadonlyMap<string, number>): KeptImage[] {
  const named = withoutDoubles(records.filter(({ name }) => !ID.test(name)))
  const idOf = new Map(records.flatMap(({ name, target }) => (ID.test(name) ? [[target.digest, name]] : [])))
  const targets = new Set(named.map(({ target }) => target.digest))
  const nameless = records.filter(({ name, target }) => ID.test(name) && !targets.has(target.digest))
  const toKept = ({ name, labels, target, updatedAt }: FoundImage): KeptImage => {
    const imageId = idOf.get(target.digest)
    return {
      image: ID.test(name) ? undefined : name,
      imageId,
      storePath: labels[STORE_PATH_LABEL],
      size: imageId === undefined ? undefined : sizes.get(imageId),
      updatedAt,
    }
  }
  const byName = named.toSorted((one, other) => (one.name < other.name ? -1 : 1))
  return [...byName, ...nameless].map(toKept)
}
