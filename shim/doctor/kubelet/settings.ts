import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import * as v from 'valibot'
import { parse } from 'yaml'
import { hasCode } from '../../error-code.ts'
import type { ProcessInfo } from '../processes.ts'
import { parseFlags } from './flags.ts'

/** What of a kubelet matters to a shim. */
export interface KubeletSettings {
  /** Where they can be changed, for a person. */
  readonly source: string
  readonly isK3s: boolean
  /** `unix://…`; undefined: that of the runtime. */
  readonly imageServiceEndpoint: string | undefined
  readonly serializeImagePulls: boolean
  readonly maxParallelImagePulls: number | undefined
}

const fields = v.object({
  imageServiceEndpoint: v.nullish(v.string()),
  serializeImagePulls: v.nullish(v.boolean()),
  maxParallelImagePulls: v.nullish(v.number()),
})
type Fields = v.InferOutput<typeof fields>

const K3S_CONFIG = '/etc/rancher/k3s/config.yaml'

/** Of a KubeletConfiguration alone. Throws when it cannot be read. */
export async function readKubeletConfig(file: string): Promise<KubeletSettings> {
  return toSettings(file, await readFields(file), false)
}

/** Of the kubelet that runs here, or of the k3s that it is part of; undefined when there is none. */
export async function findKubelet(
  processes: readonly ProcessInfo[],
  k3sConfig = K3S_CONFIG,
): Promise<KubeletSettings | undefined> {
  const kubelet = processes.find(({ args }) => basename(args[0] ?? '') === 'kubelet')
  if (kubelet) return ofKubelet(kubelet.args)
  const k3s = processes.find(({ args }) => isK3s(args))
  return k3s && ofK3s(k3s.args, k3sConfig)
}

/** It writes its command line anew: `/usr/local/bin/k3s server` is one word then. */
function isK3s(args: readonly string[]): boolean {
  const [program = '', command] = args.flatMap(arg => arg.split(' '))
  return (
    /^(k3s|rke2)(-(server|agent))?$/.test(basename(program)) &&
    (command === 'server' || command === 'agent' || /-(server|agent)$/.test(program))
  )
}

/** Flags win over the files of `--config-dir`, these over that of `--config`. Source: kubernetes, cmd/kubelet/app/server.go. */
async function ofKubelet(args: readonly string[]): Promise<KubeletSettings> {
  const flags = parseFlags(args)
  const file = flags.get('config')?.at(-1)
  const folder = flags.get('config-dir')?.at(-1)
  const dropIns = folder === undefined ? [] : (await namesIn(folder)).filter(name => name.endsWith('.conf')).toSorted()
  const files = [...(file === undefined ? [] : [file]), ...dropIns.map(name => join(folder ?? '', name))]
  const all = await Promise.all(files.map(readFields))
  const merged = Object.assign({}, ...all.map(withoutMissing), withoutMissing(ofFlags(flags)))
  return toSettings(file ?? "the kubelet's flags", v.parse(fields, merged), false)
}

async function ofK3s(args: readonly string[], config: string): Promise<KubeletSettings> {
  const file = await readK3sConfig(config)
  const flags = parseFlags(args)
  const kubeletArgs = [...file.kubeletArgs, ...(flags.get('kubelet-arg') ?? [])].map(arg => `--${arg}`)
  const ofArgs = ofFlags(parseFlags(kubeletArgs))
  const endpoint = flags.get('image-service-endpoint')?.at(-1) ?? file.endpoint
  return toSettings(config, { ...ofArgs, imageServiceEndpoint: endpoint ?? ofArgs.imageServiceEndpoint }, true)
}

function ofFlags(flags: ReadonlyMap<string, readonly string[]>): Fields {
  const serialise = flags.get('serialize-image-pulls')?.at(-1)
  const most = flags.get('max-parallel-image-pulls')?.at(-1)
  return {
    imageServiceEndpoint: flags.get('image-service-endpoint')?.at(-1),
    serializeImagePulls: serialise === undefined ? undefined : serialise === 'true',
    maxParallelImagePulls: most === undefined ? undefined : Number(most),
  }
}

const list = v.pipe(
  v.nullish(v.union([v.string(), v.array(v.string())]), []),
  v.transform(value => [value].flat()),
)
const k3sSchema = v.nullish(v.object({ 'image-service-endpoint': v.nullish(v.string()), 'kubelet-arg': list }))

async function readK3sConfig(file: string) {
  try {
    const found = v.parse(k3sSchema, parse(await readFile(file, 'utf8')))
    return { endpoint: found?.['image-service-endpoint'] ?? undefined, kubeletArgs: found?.['kubelet-arg'] ?? [] }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return { endpoint: undefined, kubeletArgs: [] }
    throw error
  }
}

async function readFields(file: string): Promise<Fields> {
  return v.parse(fields, parse(await readFile(file, 'utf8')) ?? {})
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return []
    throw error
  }
}

function withoutMissing(found: Fields): Partial<Fields> {
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined && value !== null))
}

function toSettings(source: string, found: Fields, isK3s: boolean): KubeletSettings {
  return {
    source,
    isK3s,
    imageServiceEndpoint: found.imageServiceEndpoint || undefined,
    // The kubelet's own default.
    serializeImagePulls: found.serializeImagePulls ?? true,
    maxParallelImagePulls: found.maxParallelImagePulls ?? undefined,
  }
}
