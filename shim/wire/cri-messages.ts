import * as v from 'valibot'
import { loadService, methodOf } from '../../lib/grpc/load-protos.ts'
import type { Method } from '../../lib/grpc/methods.ts'
import { PULL_IMAGE_PATH } from './methods.ts'

const service = loadService('cri.proto', 'runtime.v1.ImageService')
const pullImage = methodOf(service, 'PullImage')
const imageStatus = methodOf(service, 'ImageStatus')

const annotations = v.record(v.string(), v.string())
const imageSpec = v.object({ image: v.string(), annotations })
const sandboxMetadata = v.object({ namespace: v.string(), name: v.string(), uid: v.string() })
const pullImageRequest = v.object({
  image: imageSpec,
  sandboxConfig: v.nullable(v.object({ metadata: v.nullable(sandboxMetadata), annotations })),
})
const imageStatusRequest = v.object({ image: imageSpec })

/** The pod that a pull is for. */
export interface PodIdentity {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface PullImageRequest {
  readonly image: string
  /** Of the pod; empty when the call names none. */
  readonly namespace: string
  /** Undefined when the call does not say which pod it is for. */
  readonly pod?: PodIdentity | undefined
  /** Annotations of the pod: `crictl pull --annotation` sets those of the image, `--pod-config` those of the sandbox. */
  readonly annotations: Readonly<Record<string, string>>
}

/** Reads the fields by which a recipe can be found. Credentials are not among them. */
export function decodePullImage(message: Buffer): PullImageRequest {
  const { image, sandboxConfig } = v.parse(pullImageRequest, pullImage.requestDeserialize(message))
  const { namespace, name, uid } = sandboxConfig?.metadata ?? { namespace: '', name: '', uid: '' }
  return {
    image: image.image,
    namespace,
    pod: namespace && name && uid ? { namespace, name, uid } : undefined,
    annotations: { ...sandboxConfig?.annotations, ...image.annotations },
  }
}

/** `imageRef` is the image id: the config digest. */
export function encodePullImageResponse({ imageRef }: { imageRef: string }): Buffer {
  return pullImage.responseSerialize({ imageRef })
}

export function decodeImageStatus(message: Buffer): Pick<PullImageRequest, 'image' | 'annotations'> {
  const { image } = v.parse(imageStatusRequest, imageStatus.requestDeserialize(message))
  return image
}

/** An answer without an image: "not present". */
export function encodeAbsentImageStatus(): Buffer {
  return imageStatus.responseSerialize({})
}

/** For clients: the request as a kubelet sends it, the answer as the image id. */
export const PULL_IMAGE: Method<PullImageRequest, string> = {
  path: PULL_IMAGE_PATH,
  encode: ({ image, namespace, annotations }) =>
    pullImage.requestSerialize({
      image: { image, annotations },
      sandboxConfig: { metadata: { name: 'enbi-shim-pull', namespace }, annotations },
    }),
  decode: message => v.parse(v.object({ imageRef: v.string() }), pullImage.responseDeserialize(message)).imageRef,
}
