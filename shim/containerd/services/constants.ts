/** What the threads share with the client of containerd: this file imports nothing, so that it costs them nothing. */

/** containerd's namespace where the CRI plugin keeps its images. */
export const CRI_NAMESPACE = 'k8s.io'

/** The only snapshotter whose mounts are known to name plain folders. */
export const FOLDER_SNAPSHOTTER = 'overlayfs'

/** Image id that a record had when the shim wrote it: whoever points it at another image leaves our labels on it. */
export const IMAGE_ID_LABEL = 'enbi.hrzn.ee/image-id'

/** Bytes of a blob in one message: enough that messages cost little, and little enough to keep memory low. */
export const MESSAGE_BYTES = 256 * 1024
