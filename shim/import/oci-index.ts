import * as v from 'valibot'
import { archiveInvalid } from './invalid.ts'
import { digestOf, parseJson } from './json.ts'
import type { LayoutFiles } from './layout-files.ts'
import type { Descriptor, Document } from './plan.ts'

export const OCI_LAYOUT = 'oci-layout'
export const OCI_INDEX = 'index.json'

const DIGEST = /^sha256:[0-9a-f]{64}$/
/** Source: OCI image specification, descriptor.md. */
export const descriptorSchema = v.object({
  mediaType: v.string(),
  digest: v.pipe(v.string(), v.regex(DIGEST, 'expected sha256: and 64 hex digits')),
  size: v.pipe(v.number(), v.integer(), v.minValue(0)),
})

const listed = v.object({
  ...descriptorSchema.entries,
  platform: v.nullish(v.object({ os: v.string(), architecture: v.string() })),
  annotations: v.nullish(v.record(v.string(), v.string())),
})
const indexSchema = v.object({ manifests: v.array(listed) })

export type ListedManifest = v.InferOutput<typeof listed>

const INDEX_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]

/** Indexes in indexes, and manifests in all of them, those indexes among them: more are no image that somebody would run. */
const MAX_DEPTH = 4
const MAX_MANIFESTS = 200

/** The manifests that an index leads to, each once; what only attests to another manifest is left out. */
export async function listManifests(files: LayoutFiles, index: Buffer): Promise<ListedManifest[]> {
  const found = new Map<string, ListedManifest>()
  await collect(files, index, OCI_INDEX, { found, indexes: new Set(), depth: 0 })
  return [...found.values()]
}

interface Search {
  readonly found: Map<string, ListedManifest>
  /** Digests of those that were read, or are being read. */
  readonly indexes: Set<string>
  readonly depth: number
}

async function collect(files: LayoutFiles, index: Buffer, name: string, search: Search): Promise<void> {
  const { found, indexes, depth } = search
  if (depth > MAX_DEPTH) throw archiveInvalid(`has indexes within indexes, more than ${MAX_DEPTH} deep`)
  for (const manifest of parseJson(indexSchema, index, name).manifests) {
    if (isAttestation(manifest)) continue
    if (!INDEX_TYPES.includes(manifest.mediaType)) found.set(manifest.digest, manifest)
    else if (!indexes.has(manifest.digest)) {
      indexes.add(manifest.digest)
      const nested = await readBlob(files, manifest)
      await collect(files, nested.bytes, manifest.digest, { ...search, depth: depth + 1 })
    }
    if (found.size + indexes.size > MAX_MANIFESTS) throw archiveInvalid(`lists more than ${MAX_MANIFESTS} manifests`)
  }
}

/** BuildKit's provenance and such. */
function isAttestation({ platform, annotations }: ListedManifest): boolean {
  return platform?.os === 'unknown' || annotations?.['vnd.docker.reference.type'] !== undefined
}

/** A document among the blobs, checked against its descriptor. Throws ArchiveInvalid. */
export async function readBlob(files: LayoutFiles, { mediaType, digest, size }: Descriptor): Promise<Document> {
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
