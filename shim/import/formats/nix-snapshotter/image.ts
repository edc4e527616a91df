import * as v from 'valibot'
import { copyStart } from '../../../../lib/text/text.ts'
import { isStorePath } from '../../../../recipes/store-path.ts'
import { parseConfig } from '../../image/config.ts'
import { archiveInvalid } from '../../image/errors.ts'
import { parseJson } from '../../image/json.ts'
import type { ParsedImage } from '../../image/parsed-image.ts'
import { type KnownParts, plainLayer, type StoreImage, type StoreLayer } from '../../image/store-image.ts'
import type { Closure } from '../../store/closure.ts'
import { readStoreFile } from '../../store/store-file.ts'

/** Prefix of the annotations of a layer of mount points. Source: nix-snapshotter, pkg/nix2container/generate.go. */
const NIX_LAYER_PREFIX = 'containerd.io/snapshot/nix-'
/** Before version 0.3: marks a layer of mount points. */
const NIX_LAYER = `${NIX_LAYER_PREFIX}layer`
/** Before version 0.3: names a store path to mount, numbered from 0. */
const NIX_STORE_PATH = `${NIX_LAYER_PREFIX}store-path.`
/** Since version 0.3: names a folder of nixpkgs' closureInfo, which lists the store paths to mount. */
const NIX_CLOSURE = `${NIX_LAYER_PREFIX}closure`
const STORE_PATHS = 'store-paths'
const MAX_STORE_PATHS_BYTES = 1024 * 1024

const annotations = v.nullish(v.record(v.string(), v.string()))
const manifestSchema = v.object({ layers: v.nullish(v.array(v.object({ annotations }))) })

/** Whether the image has a layer of mount points, so that it is incomplete. */
export function isSnapshotterImage({ manifest }: ParsedImage): boolean {
  return mountedLayers(manifest.bytes).length > 0
}

/** Whether an annotation names something to mount, in a known way or not. The mark alone names nothing. */
export function isFilledBySnapshotter({ manifest }: ParsedImage): boolean {
  return mountedLayers(manifest.bytes).some(annotations => [...annotations.keys()].some(name => name !== NIX_LAYER))
}

/**
 * Completes an image of nix-snapshotter: adds layers with the store paths that its annotations name on top of its mount points.
 * Undefined for images without a layer of mount points. Throws ArchiveInvalid.
 */
export async function readSnapshotterImage(parsed: ParsedImage, closure: Closure): Promise<StoreImage | undefined> {
  const mounted = mountedLayers(parsed.manifest.bytes)
  if (mounted.length === 0) return undefined
  const paths: string[] = []
  for (const annotations of mounted) paths.push(...(await pathsIn(annotations, closure)))
  const { os, architecture } = parseConfig(parsed.config.bytes, 'config')
  return {
    platform: { os, architecture },
    layers: group([...new Set(paths)]).map(toLayer),
    makeConfig: known => makeConfig(parsed.config.bytes, known),
  }
}

type Annotations = ReadonlyMap<string, string>

/** nix-snapshotter's annotations, of each layer that has any. */
function mountedLayers(manifest: Buffer): Annotations[] {
  const { layers } = parseJson(manifestSchema, manifest, 'manifest')
  return (layers ?? []).flatMap(({ annotations }) => {
    const ours = Object.entries(annotations ?? {}).filter(([name]) => name.startsWith(NIX_LAYER_PREFIX))
    return ours.length > 0 ? [new Map(ours)] : []
  })
}

async function pathsIn(annotations: Annotations, closure: Closure): Promise<string[]> {
  const listed = annotations.get(NIX_CLOSURE)
  if (listed !== undefined) return readStorePaths(checkStorePath(NIX_CLOSURE, listed), closure)
  const numbered = [...annotations].filter(([name]) => name.startsWith(NIX_STORE_PATH))
  if (numbered.length === 0 && annotations.get(NIX_LAYER) !== 'true') throw unknownAnnotations(annotations)
  const ordered = numbered.sort(([one], [other]) => numberOf(one) - numberOf(other))
  return ordered.map(([name, path]) => checkStorePath(name, path))
}

async function readStorePaths(folder: string, closure: Closure): Promise<string[]> {
  const file = `${folder}/${STORE_PATHS}`
  const bytes = await readStoreFile(file, MAX_STORE_PATHS_BYTES, closure)
  if (!bytes) throw archiveInvalid(`has a list of store paths, ${file}, of more than ${MAX_STORE_PATHS_BYTES} bytes`)
  const paths = bytes
    .toString('latin1')
    .split('\n')
    .filter(line => line !== '')
  const strange = paths.find(path => !isStorePath(path))
  if (strange !== undefined)
    throw archiveInvalid(`has a list of store paths, ${file}, with a line that does not name one`)
  return paths
}

function checkStorePath(annotation: string, path: string): string {
  if (isStorePath(path)) return path
  throw archiveInvalid(`has an annotation ${annotation} that does not name a store path`)
}

/** Annotations that a message names, and characters of each. */
const MAX_NAMED = 3
const MAX_NAME_LENGTH = 100

/** Without the store paths to mount, no container of the image could start. */
function unknownAnnotations(annotations: Annotations): Error {
  const names = [...annotations.keys()].slice(0, MAX_NAMED).map(name => copyStart(name, MAX_NAME_LENGTH))
  return archiveInvalid(
    `has a layer of mount points for nix-snapshotter, but names what to mount in an unknown way: its annotations are ` +
      `${names.join(', ')}, and neither ${NIX_CLOSURE} nor ${NIX_STORE_PATH}0. Make the image with nix-snapshotter 0.4 or older`,
  )
}

function numberOf(name: string): number {
  return Number(name.slice(NIX_STORE_PATH.length))
}

/** Layers of one path each can be shared between images. */
const MAX_LAYERS = 100

function group(paths: readonly string[]): string[][] {
  const single = paths.slice(0, MAX_LAYERS - 1).map(path => [path])
  const rest = paths.slice(MAX_LAYERS - 1)
  return rest.length > 0 ? [...single, rest] : single
}

function toLayer(paths: readonly string[]): StoreLayer {
  return { kind: 'storeFiles', files: plainLayer(paths) }
}

const configSchema = v.looseObject({
  rootfs: v.looseObject({}),
  history: v.nullish(v.array(v.looseObject({}))),
})

const CREATED = '1970-01-01T00:00:01Z'

function makeConfig(bytes: Buffer, { diffIds }: KnownParts): Buffer {
  const { rootfs, history, ...rest } = parseJson(configSchema, bytes, 'config')
  const before = history ?? []
  const added = diffIds.length - before.filter(({ empty_layer: empty }) => empty !== true).length
  const ours = Array.from({ length: Math.max(added, 0) }, () => ({ created: CREATED, comment: 'store paths' }))
  const config = { ...rest, rootfs: { ...rootfs, diff_ids: diffIds }, history: [...before, ...ours] }
  return Buffer.from(JSON.stringify(config))
}
