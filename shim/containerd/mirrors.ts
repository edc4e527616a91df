import { repositoryOf } from '../../recipes/reference.ts'
import type { ImageRecord } from './services/images.ts'

// What mirrors of a node's images, such as Spegel and the embedded registry of k3s, go by. Only images of tars have it.

/** Label of a blob, followed by a dot and the host of a registry. */
export const SOURCE_LABEL = 'containerd.io/distribution.source'

/** Name of the record that pins a manifest, beside that of the tag. */
export function digestName(image: string, manifestDigest: string): string {
  return `${repositoryOf(image)}@${manifestDigest}`
}

/** Leaves out the records that stand beside the record of a tag for the same image. */
export function withoutDoubles<R extends ImageRecord>(records: readonly R[]): R[] {
  const tagged = records.filter(({ name }) => !name.includes('@'))
  const doubles = new Set(tagged.map(({ name, target }) => digestName(name, target.digest)))
  return records.filter(({ name }) => !doubles.has(name))
}
