import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { parse } from 'yaml'
import type { Distribution } from './distributions.ts'
import { namesIn, parseFlags } from './flags.ts'

/** The settings of a kubelet that matter to a shim. */
export interface KubeletSettings {
  /** Where they can be changed, shown to people. */
  readonly source: string
  readonly isK3s: boolean
  /** Set if a distribution writes those files. */
  readonly distribution?: Distribution | undefined
  /** The kubelet may have flags that are not visible. */
  readonly flagsHidden: boolean
  /** `unix://…`; undefined means the runtime's endpoint. */
  readonly imageServiceEndpoint: string | undefined
  readonly serializeImagePulls: boolean
  readonly maxParallelImagePulls: number | undefined
}

const fields = v.object({
  imageServiceEndpoint: v.nullish(v.string()),
  serializeImagePulls: v.nullish(v.boolean()),
  maxParallelImagePulls: v.nullish(v.number()),
})
export type Fields = v.InferOutput<typeof fields>

/** Reads only a KubeletConfiguration. Throws if it cannot be read. */
export async function readKubeletConfig(file: string): Promise<KubeletSettings> {
  return toSettings(file, await readFields(file), undefined)
}

/**
 * Flags win over the files of `--config-dir`, which win over the file of `--config`. Source: kubernetes,
 * cmd/kubelet/app/server.go.
 */
export async function settingsOfKubelet(
  args: readonly string[],
  distribution?: Distribution,
): Promise<KubeletSettings> {
  const flags = parseFlags(args)
  const file = flags.get('config')?.at(-1)
  const folder = flags.get('config-dir')?.at(-1)
  const ofFile = file === undefined ? {} : withoutMissing(await readFields(file))
  const ofFolder = folder === undefined ? {} : await readDropIns(folder)
  const found = { ...ofFile, ...ofFolder, ...withoutMissing(ofFlags(flags)) }
  return { ...toSettings(file ?? folder ?? "the kubelet's flags", found, undefined), distribution }
}

/** The last file of a `--config-dir` wins. */
export async function readDropIns(folder: string): Promise<Partial<Fields>> {
  const names = (await namesIn(folder)).filter(name => name.endsWith('.conf'))
  const all = await Promise.all(names.map(name => readFields(join(folder, name))))
  return Object.assign({}, ...all.map(withoutMissing))
}

export function ofFlags(flags: ReadonlyMap<string, readonly string[]>): Fields {
  const serialize = flags.get('serialize-image-pulls')?.at(-1)
  const most = flags.get('max-parallel-image-pulls')?.at(-1)
  return {
    imageServiceEndpoint: flags.get('image-service-endpoint')?.at(-1),
    serializeImagePulls: serialize === undefined ? undefined : serialize === 'true',
    maxParallelImagePulls: most === undefined ? undefined : Number(most),
  }
}

async function readFields(file: string): Promise<Fields> {
  return v.parse(fields, parse(await readFile(file, 'utf8')) ?? {})
}

export function withoutMissing(found: Partial<Fields>): Partial<Fields> {
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined && value !== null))
}

export function toSettings(
  source: string,
  found: Fields,
  k3s: { readonly flagsHidden: boolean } | undefined,
): KubeletSettings {
  return {
    source,
    isK3s: k3s !== undefined,
    flagsHidden: k3s?.flagsHidden ?? false,
    imageServiceEndpoint: found.imageServiceEndpoint || undefined,
    // The kubelet's default.
    serializeImagePulls: found.serializeImagePulls ?? true,
    maxParallelImagePulls: found.maxParallelImagePulls ?? undefined,
  }
}
