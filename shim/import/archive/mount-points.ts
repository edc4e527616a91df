import { isFilledBySnapshotter } from '../formats/nix-snapshotter/image.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { ImagePlan } from '../image/parsed-image.ts'
import type { StoredLayer } from './layout.ts'

/**
 * An image of nix-snapshotter that has lost its annotations, as docker save has it, has empty folders in place of store paths, and no
 * container of it could start. Where any file of the image has content – a base image's – this cannot be told. Throws ArchiveInvalid.
 */
export function refuseMountPoints(plan: ImagePlan, layers: readonly StoredLayer[]): void {
  if (layers.some(({ hasContent }) => hasContent) || !layers.some(({ hasStorePath }) => hasStorePath)) return
  if (isFilledBySnapshotter(plan)) return
  throw archiveInvalid(
    'has no file with content, but empty folders in place of store paths: it is an image of nix-snapshotter whose annotations were lost. ' +
      'Take the package that nix-snapshotter makes, as it is',
  )
}
