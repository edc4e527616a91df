import type { TarFile } from './tar-scan.ts'

/** What of a layer's files tells whether it has any content. */
export interface LayerContent {
  /** Whether a file of it is not empty. */
  readonly hasContent: boolean
  /** Whether a store path is in it. */
  readonly hasStorePath: boolean
}

const STORE_PATH = /^(?:\.?\/)*nix\/store\/[0-9a-df-np-sv-z]{32}-[^/]+\/?$/

export function contentOf({ name, size }: TarFile, before: LayerContent): LayerContent {
  return {
    hasContent: before.hasContent || size > 0,
    hasStorePath: before.hasStorePath || STORE_PATH.test(name),
  }
}
