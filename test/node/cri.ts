import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as v from 'valibot'
import { PATIENCE_MS } from '../patience.ts'
import { type CallOptions, connectGrpc } from './grpc.ts'

/** The calls of a kubelet to a container runtime. Rejections are grpc-js's ServiceError, with `code` and `details`. */
export interface CriClient extends Disposable {
  /** Polls until the runtime is ready. */
  waitUntilServing(signal: AbortSignal): Promise<void>
  /** Resolves to the image's id. Has no deadline, like the kubelet's call. */
  pullImage(pull: Pull, options?: CallOptions): Promise<string>
  imageStatus(image: string, options?: CallOptions & { annotations?: Annotations }): Promise<Image | undefined>
  /** Waits because containerd's CRI plugin sees a new image after a short delay. */
  waitForImage(image: string, signal?: AbortSignal): Promise<Image>
  listImages(options?: CallOptions): Promise<Image[]>
  removeImage(image: string, options?: CallOptions): Promise<void>
  /** Mount points and used bytes of the file systems that hold images. */
  imageFsInfo(options?: CallOptions): Promise<{ mountpoint: string; usedBytes: number }[]>
  version(options?: CallOptions): Promise<{ runtimeName: string; runtimeVersion: string }>
  runPodSandbox(sandbox: Sandbox): Promise<string>
  stopPodSandbox(id: string): Promise<void>
  removePodSandbox(id: string): Promise<void>
  createContainer(sandboxId: string, sandbox: Sandbox, container: Container): Promise<string>
  startContainer(id: string): Promise<void>
  containerStatus(id: string): Promise<{ state: string; exitCode: number; reason: string; message: string }>
}

export type Annotations = Readonly<Record<string, string>>
export type Image = v.InferOutput<typeof ImageSchema>

export interface Pull {
  readonly image: string
  /** Annotations of the pod. They are sent twice, as by a kubelet, unless `places` differs. */
  readonly annotations?: Annotations
  readonly places?: readonly ('image' | 'sandbox')[]
  readonly namespace?: string
  readonly podName?: string
  readonly auth?: { readonly username: string; readonly password: string }
}

export interface Sandbox {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly logDirectory: string
  /** The folder below which runc creates the pod's cgroups. */
  readonly cgroupParent: string
}

export interface Container {
  readonly name: string
  readonly image: string
  readonly command: readonly string[]
  readonly args: readonly string[]
  /** Relative to the sandbox's log directory. */
  readonly logPath: string
}

const ImageSchema = v.object({
  id: v.string(),
  repoTags: v.array(v.string()),
  repoDigests: v.array(v.string()),
  size: v.number(),
})
const Nothing = v.object({})

const RUNTIME = '/runtime.v1.RuntimeService'
const IMAGES = '/runtime.v1.ImageService'
const POLL_MS = 25
const PROTO = join(import.meta.dirname, '../protos/cri.proto')

/** A client of a socket that may not exist yet. Calls wait for it until their deadline. */
export function connectCri(socket: string): CriClient {
  const grpc = connectGrpc(socket, PROTO)
  const { call } = grpc

  const isReady = async () => {
    const condition = v.object({ type: v.string(), status: v.boolean() })
    const answer = v.object({ status: v.object({ conditions: v.array(condition) }) })
    const { status } = await call(`${RUNTIME}/Status`, {}, answer, { limitMs: 1000 })
    // containerd has further conditions, which are warnings.
    return ['RuntimeReady', 'NetworkReady'].every(type =>
      status.conditions.some(one => one.type === type && one.status),
    )
  }

  const imageStatus: CriClient['imageStatus'] = async (image, { annotations = {}, ...options } = {}) => {
    const answer = v.object({ image: v.nullable(ImageSchema) })
    const found = await call(`${IMAGES}/ImageStatus`, { image: { image, annotations } }, answer, options)
    return found.image ?? undefined
  }

  return {
    async waitUntilServing(signal) {
      while (!(await isReady().catch(() => false))) await delay(POLL_MS, undefined, { signal })
    },
    async pullImage(pull, options = {}) {
      const answer = v.object({ imageRef: v.string() })
      return (await call(`${IMAGES}/PullImage`, pullRequest(pull), answer, { limitMs: 0, ...options })).imageRef
    },
    imageStatus,
    async waitForImage(image, signal = AbortSignal.timeout(PATIENCE_MS)) {
      for (;;) {
        const found = await imageStatus(image)
        if (found !== undefined) return found
        await delay(POLL_MS, undefined, { signal })
      }
    },
    async listImages(options) {
      return (await call(`${IMAGES}/ListImages`, {}, v.object({ images: v.array(ImageSchema) }), options)).images
    },
    async removeImage(image, options) {
      await call(`${IMAGES}/RemoveImage`, { image: { image } }, Nothing, options)
    },
    async imageFsInfo(options) {
      const answer = v.object({
        imageFilesystems: v.array(
          v.object({ fsId: v.object({ mountpoint: v.string() }), usedBytes: v.object({ value: v.number() }) }),
        ),
      })
      const { imageFilesystems } = await call(`${IMAGES}/ImageFsInfo`, {}, answer, options)
      return imageFilesystems.map(({ fsId, usedBytes }) => ({ ...fsId, usedBytes: usedBytes.value }))
    },
    version: options =>
      call(`${RUNTIME}/Version`, {}, v.object({ runtimeName: v.string(), runtimeVersion: v.string() }), options),
    async runPodSandbox(sandbox) {
      const answer = v.object({ podSandboxId: v.string() })
      return (await call(`${RUNTIME}/RunPodSandbox`, { config: sandboxConfig(sandbox) }, answer)).podSandboxId
    },
    async stopPodSandbox(podSandboxId) {
      await call(`${RUNTIME}/StopPodSandbox`, { podSandboxId }, Nothing)
    },
    async removePodSandbox(podSandboxId) {
      await call(`${RUNTIME}/RemovePodSandbox`, { podSandboxId }, Nothing)
    },
    async createContainer(podSandboxId, sandbox, { name, image, command, args, logPath }) {
      const config = { metadata: { name }, image: { image }, command, args, logPath }
      const request = { podSandboxId, config, sandboxConfig: sandboxConfig(sandbox) }
      return (await call(`${RUNTIME}/CreateContainer`, request, v.object({ containerId: v.string() }))).containerId
    },
    async startContainer(containerId) {
      await call(`${RUNTIME}/StartContainer`, { containerId }, Nothing)
    },
    async containerStatus(containerId) {
      const status = v.object({ state: v.string(), exitCode: v.number(), reason: v.string(), message: v.string() })
      return (await call(`${RUNTIME}/ContainerStatus`, { containerId }, v.object({ status }))).status
    },
    [Symbol.dispose]: () => grpc[Symbol.dispose](),
  }
}

function pullRequest({
  image,
  annotations = {},
  places = ['image', 'sandbox'],
  namespace = 'default',
  podName = 'pod',
  auth,
}: Pull): object {
  const inPlace = (place: 'image' | 'sandbox') => (places.includes(place) ? annotations : {})
  return {
    image: { image, annotations: inPlace('image') },
    sandboxConfig: { metadata: { name: podName, namespace, uid: podName }, annotations: inPlace('sandbox') },
    ...(auth && { auth }),
  }
}

/** Uses the host's network, which saves creating and removing a network namespace. */
function sandboxConfig({ name, namespace, uid, logDirectory, cgroupParent }: Sandbox): object {
  return {
    metadata: { name, namespace, uid },
    logDirectory,
    linux: { cgroupParent, securityContext: { namespaceOptions: { network: 'NODE' } } },
  }
}
