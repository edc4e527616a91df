// This file imports nothing, so that threads and the start of the daemon can use it at no cost.

/** containerd's namespace where the CRI plugin keeps its images. */
export const CRI_NAMESPACE = 'k8s.io'

/** The only snapshotter whose mounts are known to name plain folders. */
export const FOLDER_SNAPSHOTTER = 'overlayfs'

/** Label: image id of a record when the shim wrote it. If others point the record at another image, the label stays. */
export const IMAGE_ID_LABEL = 'enbi.hrzn.ee/image-id'

/** Bytes of a blob in one message: large enough for speed, small enough for memory. */
export const MESSAGE_BYTES = 256 * 1024

export const LAYER_MODES = ['linked', 'tar'] as const

/**
 * How layers of store paths get into containerd. `linked`: without a tar if possible, so that an image may have snapshots without
 * blobs. `tar`: the content store has the blob of every layer.
 */
export type LayerMode = (typeof LAYER_MODES)[number]
