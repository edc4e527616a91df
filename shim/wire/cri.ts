import { loadService } from '../../lib/grpc/service.ts'
import type { ImageServiceDefinition } from '../../protos/generated/runtime/v1/ImageService.ts'
import type { ImageSpec__Output } from '../../protos/generated/runtime/v1/ImageSpec.ts'

export const IMAGE_SERVICE = loadService<ImageServiceDefinition>('cri.proto', 'runtime.v1.ImageService')

/** The pod that a pull is for. */
export interface PodIdentity {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface PullImageRequest {
  readonly image: string
  /** Namespace of the pod; empty when the call names none. */
  readonly namespace: string
  /** Undefined when the call does not say which pod it is for. */
  readonly pod?: PodIdentity | undefined
  /** Annotations of the pod: `crictl pull --annotation` sets those of the image, `--pod-config` those of the sandbox. */
  readonly annotations: Readonly<Record<string, string>>
}

/** Reads the fields by which a recipe can be found. Credentials are not among them. */
export function decodePullImage(message: Buffer): PullImageRequest {
  const { image, sandboxConfig } = IMAGE_SERVICE.PullImage.requestDeserialize(message)
  const { namespace, name, uid } = sandboxConfig?.metadata ?? { namespace: '', name: '', uid: '' }
  return {
    image: image?.image ?? '',
    namespace,
    pod: namespace && name && uid ? { namespace, name, uid } : undefined,
    annotations: { ...sandboxConfig?.annotations, ...image?.annotations },
  }
}

export function decodeImageStatus(message: Buffer): Pick<ImageSpec__Output, 'image' | 'annotations'> {
  return IMAGE_SERVICE.ImageStatus.requestDeserialize(message).image ?? { image: '', annotations: {} }
}
