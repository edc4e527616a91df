import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { parse } from 'yaml'
import { hasCode } from '../../../lib/error-code.ts'

/** A distribution that writes its kubelet's files itself. */
export interface Distribution {
  readonly name: string
  /** Where to set flags of the kubelet, shown to people. */
  readonly place: (flags: readonly string[]) => string
}

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

/**
 * A program's flags by name: `--name=value`, `--name value`, `--name` (true). The last value wins, except for `many`.
 */
export function parseFlags(args: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const flags = new Map<string, string[]>()
  for (const [index, arg] of args.entries()) {
    const [, name, value] = /^--?([a-z][a-z0-9-]*)(?:=(.*))?$/s.exec(arg) ?? []
    if (name === undefined) continue
    const next = args[index + 1]
    const given = value ?? (next === undefined || next.startsWith('-') ? 'true' : next)
    flags.set(name, [...(flags.get(name) ?? []), given])
  }
  return flags
}

/** Names in a folder of drop-ins, in the order in which they apply. A missing folder is empty. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).toSorted()
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return []
    throw error
  }
}
