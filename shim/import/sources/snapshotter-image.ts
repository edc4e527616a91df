import * as v from 'valibot'
import { isStorePath } from '../../store-path.ts'
import { parseConfig } from '../config.ts'
import { archiveInvalid } from '../invalid.ts'
import { parseJson } from '../json.ts'
import { plainLayer } from '../layers/layer.ts'
import type { ImagePlan } from '../plan.ts'
import type { KnownParts, NativeImage, NativeLayer } from './native-image.ts'

/** Marks a layer of empty mount points. Source: nix-snapshotter, docs/architecture.md. */
const NIX_LAYER = 'containerd.io/snapshot/nix-layer'
/** Names what is mounted there, numbered from 0. */
const NIX_STORE_PATH = 'containerd.io/snapshot/nix-store-path.'

const annotations = v.nullish(v.record(v.string(), v.string()))
const manifestSchema = v.object({ layers: v.nullish(v.array(v.object({ annotations }))) })

/**
 * An image of nix-snapshotter, of which only mount points are in its layers: on top of these come layers with what its
 * annotations name. Undefined for images that have no such layer.
 */
export function readSnapshotterImage(plan: ImagePlan): NativeImage | undefined {
  const { layers } = parseJson(manifestSchema, plan.manifest.bytes, 'manifest')
  const paths = (layers ?? []).flatMap(({ annotations }) => pathsIn(annotations ?? {}))
  if (paths.length === 0) return undefined
  const { os, architecture } = parseConfig(plan.config.bytes, 'config')
  return {
    platform: { os, architecture },
    layers: group([...new Set(paths)]).map(toLayer),
    makeConfig: known => makeConfig(plan.config.bytes, known),
  }
}

function pathsIn(annotations: Readonly<Record<string, string>>): string[] {
  if (annotations[NIX_LAYER] !== 'true') return []
  const numbered = Object.entries(annotations).filter(([name]) => name.startsWith(NIX_STORE_PATH))
  const ordered = numbered.sort(([one], [other]) => numberOf(one) - numberOf(other))
  return ordered.map(([name, path]) => {
    if (isStorePath(path)) return path
    throw archiveInvalid(`has an annotation ${name} that names no store path`)
  })
}

function numberOf(name: string): number {
  return Number(name.slice(NIX_STORE_PATH.length))
}

/** Layers that images have in common are shared as long as each holds one path. */
const MAX_LAYERS = 100

function group(paths: readonly string[]): string[][] {
  const single = paths.slice(0, MAX_LAYERS - 1).map(path => [path])
  const rest = paths.slice(MAX_LAYERS - 1)
  return rest.length > 0 ? [...single, rest] : single
}

function toLayer(paths: readonly string[]): NativeLayer {
  return { kind: 'store', layer: plainLayer(paths) }
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
