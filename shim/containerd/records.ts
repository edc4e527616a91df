import { createCalls } from './calls.ts'
import { createConnection } from './connection.ts'
import { criImageId } from './cri.ts'
import { toContainerdFailure } from './failure.ts'
import { getImage, type ImageRecord, imagesWithLabel } from './images.ts'

/** Look-ups of images, cheap enough for the main thread. They throw a ShimError (see the containerd codes). */
export interface ContainerdImages {
  /** By normalised reference. */
  find(image: string): Promise<ImageRecord | undefined>
  /** Image id (config digest) under which CRI knows the reference; undefined when it does not. */
  imageId(image: string): Promise<string | undefined>
  /** Every image record that has the label. */
  withLabel(label: string): Promise<readonly ImageRecord[]>
  close(): void
}

export interface ContainerdAddress {
  /** Path of containerd's socket. */
  readonly address: string
  readonly namespace?: string
}

/** Where the CRI plugin keeps its images. */
export const CRI_NAMESPACE = 'k8s.io'

/** Connects at the first look-up, and again whenever containerd was away. */
export function createContainerdImages({ address, namespace = CRI_NAMESPACE }: ContainerdAddress): ContainerdImages {
  const connection = createConnection(address)
  const calls = createCalls(connection, { namespace })
  return {
    find: image => explained(getImage(calls, image)),
    imageId: image => explained(criImageId(calls, image)),
    withLabel: label => explained(imagesWithLabel(calls, label)),
    close: () => connection.close(),
  }
}

async function explained<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw toContainerdFailure(error)
  }
}
