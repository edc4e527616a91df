/** Image id that a record had when the shim wrote it: whoever points it at another image leaves our labels on it. */
export const IMAGE_ID_LABEL = 'enbi.hrzn.ee/image-id'
