import { BROKEN_OFF, GrpcError } from '../../lib/grpc/grpc-error.ts'
import { type ContainerdAddress, connectContainerd } from './connect.ts'
import { type CriImage, criImage, criImages } from './services/cri.ts'
import { toContainerdFailure } from './services/failure.ts'
import { type FoundImage, getImage, type ImageRecord, imagesWithLabel } from './services/images.ts'
import { type ImageForm, isUsable } from './usable.ts'

/** Look-ups of images that are cheap enough for the main thread. They throw a ShimError. */
export interface ContainerdImages {
  /** By normalized reference. */
  find(image: string): Promise<ImageRecord | undefined>
  /** The image that CRI knows by that reference. */
  present(image: string): Promise<CriImage | undefined>
  /** Whether containers can be made of the image, and it has the form of this node. */
  usable(record: ImageRecord): Promise<boolean>
  /** Every image record that has the label. */
  withLabel(label: string): Promise<readonly FoundImage[]>
  /** Every image that CRI knows. */
  all(): Promise<readonly CriImage[]>
  close(): void
}

export interface ContainerdImagesOptions extends ContainerdAddress {
  readonly form: ImageForm
}

/** Connects at the first look-up, and again after the connection was lost. */
export function createContainerdImages({ form, ...containerd }: ContainerdImagesOptions): ContainerdImages {
  const calls = connectContainerd(containerd)
  return {
    find: image => lookUp(() => getImage(calls, image)),
    usable: record => lookUp(() => isUsable(calls, record, form)),
    present: image => lookUp(() => criImage(calls, image)),
    withLabel: label => lookUp(() => imagesWithLabel(calls, label)),
    all: () => lookUp(() => criImages(calls)),
    close: () => calls[Symbol.dispose](),
  }
}

/** Repeats a look-up once if the connection breaks off: an idle connection may have been lost long before. */
async function lookUp<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask().catch(error => {
      if (error instanceof GrpcError && error.details === BROKEN_OFF) return ask()
      throw error
    })
  } catch (error) {
    throw toContainerdFailure(error)
  }
}
