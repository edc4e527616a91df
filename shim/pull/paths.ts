/** CRI methods that are intercepted. */
export const PULL_IMAGE_PATH = '/runtime.v1.ImageService/PullImage'
export const IMAGE_STATUS_PATH = '/runtime.v1.ImageService/ImageStatus'
export const REMOVE_IMAGE_PATH = '/runtime.v1.ImageService/RemoveImage'
/** The shim's own method (see `protos/enbi.proto`). */
export const WATCH_PATH = '/enbi.v1alpha1.Pulls/Watch'
