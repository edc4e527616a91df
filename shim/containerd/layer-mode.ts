export const LAYER_MODES = ['linked', 'tar'] as const

/**
 * How layers of store paths get into containerd. `linked`: without a tar if possible, so that an image may have snapshots without
 * blobs. `tar`: the content store has the blob of every layer.
 */
export type LayerMode = (typeof LAYER_MODES)[number]
