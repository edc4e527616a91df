import * as v from 'valibot'
import { loadService, methodOf } from '../../lib/grpc/load-protos.ts'

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
  /** Missing when the call does not say which pod it is for. */
  readonly pod?: PodIdentity | undefined
  /** Of the pod: `crictl pull --annotation` fills those of the image alone, `--pod-config` those of the sandbox. */
  readonly annotations: Readonly<Record<string, string>>
}

/** Reads what a recipe can be found by; credentials are not among it. */
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

/** CRI's "no such image": an answer without one. */
export function encodeAbsentImageStatus(): Buffer {
  return imageStatus.responseSerialize({})
}

/** As a kubelet sends it: the annotations with the image and with the sandbox. */
export function encodePullImage({ image, namespace, annotations }: PullImageRequest): Buffer {
  return pullImage.requestSerialize({
    image: { image, annotations },
    sandboxConfig: { metadata: { name: 'enbi-shim-pull', namespace }, annotations },
  })
}

/** The image id. */
export function decodePullImageResponse(message: Buffer): string {
  return v.parse(v.object({ imageRef: v.string() }), pullImage.responseDeserialize(message)).imageRef
}
