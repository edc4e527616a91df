import * as v from 'valibot'
import type { Descriptor, DocumentBlob, Layer } from '../../containerd/services/descriptor.ts'
import { isSamePlatform, otherPlatform, type Platform, pairLayers, parseConfig } from '../image/config.ts'
import { archiveInvalid } from '../image/errors.ts'
import { checkSpelling, parseJson } from '../image/json.ts'
import { descriptorSchema } from '../image/parsed-image.ts'
import { checkLayerType } from '../streams/measure-layer.ts'
import {
  type ArchiveImage,
  isNamed,
  type LayoutFiles,
  type StoredLayer,
  severalImages,
  type WantedImage,
} from './layout.ts'
import { blobName, type ListedManifest, listManifests, readBlob } from './oci-index.ts'

const MANIFEST_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]

/** Other tools read a document that is an index too, or a manifest of Docker's first version, as another image. */
const manifestSchema = v.object({
  mediaType: v.nullish(v.picklist(MANIFEST_TYPES, 'expected the type of a manifest')),
  config: descriptorSchema,
  layers: v.nullish(v.array(descriptorSchema), []),
  manifests: v.nullish(v.strictTuple([])),
  fsLayers: v.nullish(v.strictTuple([])),
})

const DESCRIPTOR = ['mediaType', 'digest', 'size']
const FIELDS = {
  '': ['mediaType', 'config', 'layers', 'manifests', 'fsLayers'],
  '/config': DESCRIPTOR,
  '/layers': DESCRIPTOR,
}

/** Source: OCI image specification, manifest.md. Throws ArchiveInvalid. */
export function parseManifest(bytes: Buffer, name: string): { config: Descriptor; layers: Descriptor[] } {
  const { config, layers } = parseJson(manifestSchema, bytes, name)
  checkSpelling(bytes.toString('utf8'), FIELDS, name)
  return { config, layers: layers ?? [] }
}

/** Parses the one image for this host in an OCI layout. Throws ArchiveInvalid or ArchitectureMismatch. */
export async function parseOciLayout(
  files: LayoutFiles,
  indexJson: Buffer,
  { host, wanted, onLayer }: WantedImage,
): Promise<ArchiveImage> {
  const manifests = await listManifests(files, indexJson)
  const { manifest, config, layers } = await choose(files, manifests, { host, wanted })
  const stored: Layer[] = []
  let unpackedSize = 0
  for (const layer of pairLayers(layers, parseConfig(config.bytes, config.digest))) {
    const blob = await storeChecked(files, layer)
    onLayer(blob, stored.length)
    stored.push(layer)
    unpackedSize += blob.unpackedSize
  }
  // The images for several machines of one multi-platform image have the same names.
  const isOneOfSeveral = new Set(manifests.map(({ names }) => JSON.stringify([...names].sort()))).size > 1
  return { manifest, config, layers: stored, unpackedSize, layerNames: [], isOneOfSeveral }
}

interface Candidate {
  readonly manifest: DocumentBlob
  readonly config: DocumentBlob
  readonly layers: readonly Descriptor[]
  readonly platform: Platform
}

async function choose(
  files: LayoutFiles,
  listed: readonly ListedManifest[],
  { host, wanted }: Omit<WantedImage, 'onLayer'>,
): Promise<Candidate> {
  if (listed.length === 0) throw archiveInvalid('has an index without an image')
  const named = listed.filter(({ names }) => wanted !== undefined && isNamed(names, wanted))
  const manifests = named.length > 0 ? named : listed
  const elsewhere = manifests.flatMap(({ platform }) => (platform && !isSamePlatform(platform, host) ? [platform] : []))
  const rest = manifests.filter(({ platform }) => !platform || isSamePlatform(platform, host))
  let chosen: Candidate | undefined
  const names: string[] = []
  let count = 0
  // Keep no more than the platform of the others: there may be many.
  for (const manifest of rest) {
    const candidate = await readCandidate(files, manifest)
    if (!isSamePlatform(candidate.platform, host)) elsewhere.push(candidate.platform)
    else {
      chosen ??= candidate
      count += 1
      names.push(...manifest.names)
    }
  }
  if (!chosen) throw otherPlatform(elsewhere, host)
  if (count > 1) throw severalImages(names, count, wanted)
  return chosen
}

async function readCandidate(files: LayoutFiles, listed: ListedManifest): Promise<Candidate> {
  if (!MANIFEST_TYPES.includes(listed.mediaType))
    throw archiveInvalid(`lists ${listed.digest}, which is not an image manifest but ${listed.mediaType}`)
  const manifest = await readBlob(files, listed)
  const { config: described, layers } = parseManifest(manifest.bytes, listed.digest)
  const config = await readBlob(files, described)
  const { os, architecture } = parseConfig(config.bytes, config.digest)
  return { manifest, config, layers, platform: { os, architecture } }
}

/** Layer types of OCI and Docker that containerd unpacks. */
const LAYER_TYPE =
  /^application\/vnd\.(oci\.image\.layer\.(v1|nondistributable\.v1)\.tar(\+(gzip|zstd))?|docker\.image\.rootfs\.(diff|foreign\.diff)\.tar(\.(gzip|zstd))?)$/

async function storeChecked(files: LayoutFiles, layer: Layer): Promise<StoredLayer> {
  const { digest, size, mediaType } = layer
  if (!LAYER_TYPE.test(mediaType)) throw archiveInvalid(`has a layer of a type that cannot be unpacked: ${mediaType}`)
  const stored = await files.storeLayer(blobName(digest))
  if (!stored) throw archiveInvalid(`lacks the layer ${digest}`)
  if (stored.digest !== digest) throw archiveInvalid(`has a wrong digest: the layer ${digest} is ${stored.digest}`)
  if (stored.size !== size) throw archiveInvalid(`has a wrong size: the layer ${digest} is not ${size} bytes long`)
  checkLayerType(mediaType, stored.compression)
  return stored
}
