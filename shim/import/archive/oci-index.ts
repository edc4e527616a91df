import * as v from 'valibot'
import type { Descriptor, DocumentBlob } from '../../containerd/services/descriptor.ts'
import { archiveInvalid } from '../image/errors.ts'
import { digestOf, parseJson } from '../image/json.ts'
import { descriptorSchema } from '../image/parsed-image.ts'
import type { LayoutFiles } from './layout.ts'

export const OCI_LAYOUT = 'oci-layout'
export const OCI_INDEX = 'index.json'

const listed = v.object({
  ...descriptorSchema.entries,
  platform: v.nullish(v.object({ os: v.string(), architecture: v.string() })),
  annotations: v.nullish(v.record(v.string(), v.string())),
})
type IndexEntry = v.InferOutput<typeof listed>
const indexSchema = v.object({ manifests: v.array(listed) })

export interface ListedManifest extends IndexEntry {
  /** Its own names, and those of the indexes that lead to it. */
  readonly names: Set<string>
}

const INDEX_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]

/** Depth of nested indexes, and manifests and indexes in total: far more than any real image has. */
const MAX_DEPTH = 4
const MAX_MANIFESTS = 200
/** Of all indexes together: each entry may give names to everything that it leads to. */
const MAX_ENTRIES = 1000

/** The manifests that an index leads to, each once, without attestations. */
export async function listManifests(files: LayoutFiles, index: Buffer): Promise<ListedManifest[]> {
  const found = new Map<string, ListedManifest>()
  await collect(files, index, OCI_INDEX, { found, indexes: new Map(), count: { entries: 0 }, depth: 0 })
  return [...found.values()]
}

interface Search {
  readonly found: Map<string, ListedManifest>
  /** Indexes that were read, or are being read, by digest, each with the manifests that it leads to. */
  readonly indexes: Map<string, readonly ListedManifest[]>
  readonly count: { entries: number }
  readonly depth: number
}

/** Returns what the index leads to. */
async function collect(
  files: LayoutFiles,
  index: Buffer,
  name: string,
  search: Search,
): Promise<readonly ListedManifest[]> {
  const { found, indexes, count, depth } = search
  if (depth > MAX_DEPTH) throw archiveInvalid(`has indexes within indexes, more than ${MAX_DEPTH} deep`)
  const all = new Set<ListedManifest>()
  for (const entry of parseJson(indexSchema, index, name).manifests) {
    count.entries += 1
    if (count.entries > MAX_ENTRIES) throw archiveInvalid(`has indexes of more than ${MAX_ENTRIES} entries`)
    if (isAttestation(entry)) continue
    for (const manifest of await below(entry)) {
      for (const name of namesOf(entry)) manifest.names.add(name)
      all.add(manifest)
    }
    if (found.size + indexes.size > MAX_MANIFESTS) throw archiveInvalid(`lists more than ${MAX_MANIFESTS} manifests`)
  }
  return [...all]

  async function below(entry: IndexEntry): Promise<readonly ListedManifest[]> {
    const { digest } = entry
    if (!INDEX_TYPES.includes(entry.mediaType)) {
      const manifest = found.get(digest) ?? { ...entry, names: new Set() }
      found.set(digest, manifest)
      return [manifest]
    }
    const read = indexes.get(digest)
    if (read) return read
    indexes.set(digest, [])
    const nested = await readBlob(files, entry)
    const manifests = await collect(files, nested.bytes, digest, { ...search, depth: depth + 1 })
    indexes.set(digest, manifests)
    return manifests
  }
}

/** Name annotations of docker and containerd, and of all other tools. */
const NAME_ANNOTATIONS = ['io.containerd.image.name', 'org.opencontainers.image.ref.name']

function namesOf({ annotations }: IndexEntry): string[] {
  return NAME_ANNOTATIONS.flatMap(key => annotations?.[key] ?? [])
}

/** Such as BuildKit's provenance. */
function isAttestation({ platform, annotations }: IndexEntry): boolean {
  return platform?.os === 'unknown' || annotations?.['vnd.docker.reference.type'] !== undefined
}

/** Reads a document among the blobs and checks it against its descriptor. Throws ArchiveInvalid. */
export async function readBlob(files: LayoutFiles, { mediaType, digest, size }: Descriptor): Promise<DocumentBlob> {
  const bytes = await files.readDocument(blobName(digest))
  if (!bytes) throw archiveInvalid(`lacks the blob ${digest}`)
  const actual = digestOf(bytes)
  if (actual !== digest) throw archiveInvalid(`has a wrong digest: the blob ${digest} is ${actual}`)
  if (bytes.length !== size) throw archiveInvalid(`has a wrong size: the blob ${digest} is not ${size} bytes long`)
  return { mediaType, digest, size, bytes }
}

export function blobName(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`
}
