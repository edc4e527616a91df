import type { Calls } from '../../lib/grpc/client.ts'
import { repositoryOf } from '../../recipes/reference.ts'
import { blobInfo, labelBlob } from './services/content.ts'
import type { Descriptor } from './services/descriptor.ts'
import type { ImageRecord } from './services/images.ts'

// What mirrors of a node's images, such as Spegel and the embedded registry of k3s, go by. Only images of tars have it.

/** Label of a blob, followed by a dot and the host of a registry. */
export const SOURCE_LABEL = 'containerd.io/distribution.source'

/** Origin of a blob. Spegel serves blobs by this label, and notices it only if the commit sets it. */
export function sourceLabel(name: string): Record<string, string> {
  const [, host, repository] = /^([^/:]+)(?::\d+)?\/([^@:]+)/.exec(name) ?? []
  return host && repository ? { [`${SOURCE_LABEL}.${host}`]: repository } : {}
}

/** Mirrors need no more hosts than this of a layer that many images share. */
const MAX_SOURCES = 32

/**
 * Adds the label to blobs that were there already, for another host or from the time when layers were linked. One repository of
 * a host is enough: mirrors look at the host only.
 */
export async function addSource(
  calls: Calls,
  blobs: readonly Pick<Descriptor, 'digest'>[],
  label: Readonly<Record<string, string>>,
): Promise<void> {
  for (const { digest } of blobs) {
    const present = await blobInfo(calls, digest)
    const sources = Object.keys(present?.labels ?? {}).filter(key => key.startsWith(`${SOURCE_LABEL}.`))
    const isLacking = Object.keys(label).some(key => !sources.includes(key))
    if (present && isLacking && sources.length < MAX_SOURCES) await labelBlob(calls, digest, label)
  }
}

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
