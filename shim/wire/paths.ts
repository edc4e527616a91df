/**
 * Paths of the methods that the shim answers. They are written out, because reading them from the protos would load the
 * protobuf library before it is needed.
 */
export const PULL_IMAGE_PATH = '/runtime.v1.ImageService/PullImage'
export const IMAGE_STATUS_PATH = '/runtime.v1.ImageService/ImageStatus'
export const REMOVE_IMAGE_PATH = '/runtime.v1.ImageService/RemoveImage'
export const WATCH_PULLS_PATH = '/enbi.v1alpha1.Pulls/Watch'
export const WATCH_STATUS_PATH = '/enbi.v1alpha1.Status/Watch'
