/**
 * An image that was lost, or that a node failed to make, is made again after this time, in milliseconds: a kubelet removes
 * images that nothing uses when its disk is full.
 */
export const AGAIN_MS = 3_600_000
