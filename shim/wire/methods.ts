/** CRI methods that the shim intercepts. */
export const PULL_IMAGE_PATH = '/runtime.v1.ImageService/PullImage'
export const IMAGE_STATUS_PATH = '/runtime.v1.ImageService/ImageStatus'
export const REMOVE_IMAGE_PATH = '/runtime.v1.ImageService/RemoveImage'
/** Methods of the shim itself, see `protos/enbi.proto`. */
export const WATCH_PULLS_PATH = '/enbi.v1alpha1.Pulls/Watch'
export const WATCH_STATUS_PATH = '/enbi.v1alpha1.Status/Watch'
