import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import * as v from 'valibot'
import { parse } from 'yaml'
import { hasCode } from '../../../lib/error-code.ts'
import {
  type KubeletSettings,
  namesIn,
  ofFlags,
  parseFlags,
  readDropIns,
  toSettings,
  withoutMissing,
} from './settings.ts'

export const K3S_FILES: K3sFiles = {
  config: '/etc/rancher/k3s/config.yaml',
  kubeletConfigs: '/var/lib/rancher/k3s/agent/etc/kubelet.conf.d',
}

/**
 * Whether a command line is that of a k3s that runs a kubelet. k3s rewrites it so that `/usr/local/bin/k3s server`
 * becomes one word.
 */
export function isK3s(args: readonly string[]): boolean {
  const [program = '', command] = args.flatMap(arg => arg.split(' '))
  const name = basename(program)
  return name === 'k3s' ? command === 'server' || command === 'agent' : name === 'k3s-server' || name === 'k3s-agent'
}

export interface K3sFiles {
  /** Written by people. */
  readonly config: string
  /** Written by newer versions of k3s for their kubelet. */
  readonly kubeletConfigs: string
}

/**
 * Reads k3s's flags and files, with the settings for its kubelet. Source: k3s, pkg/configfilearg, pkg/daemons/agent.
 */
export async function settingsOfK3s(
  args: readonly string[],
  { config, kubeletConfigs }: K3sFiles,
): Promise<KubeletSettings> {
  const flags = parseFlags(args)
  const names = (await namesIn(`${config}.d`)).filter(name => /\.ya?ml$/.test(name))
  const files = await Promise.all([config, ...names.map(name => join(`${config}.d`, name))].map(readK3sConfig))
  const kubeletArgs = [...files.flatMap(file => file.kubeletArgs), ...(flags.get('kubelet-arg') ?? [])]
  const ofArgs = ofFlags(parseFlags(kubeletArgs.map(arg => `--${arg}`)))
  const endpoints = [...files.map(file => file.endpoint), flags.get('image-service-endpoint')?.at(-1)]
  const imageServiceEndpoint = ofArgs.imageServiceEndpoint ?? endpoints.findLast(endpoint => endpoint !== undefined)
  const written = await readDropIns(kubeletConfigs)
  const own = withoutMissing({ ...ofArgs, imageServiceEndpoint })
  // k3s makes its kubelet pull in parallel by default.
  const found = { serializeImagePulls: false, ...written, ...own }
  return toSettings(config, found, { flagsHidden: flags.size === 0 && found.imageServiceEndpoint === undefined })
}

const list = v.pipe(
  v.nullish(v.union([v.string(), v.array(v.string())]), []),
  v.transform(value => [value].flat()),
)
const schema = v.nullish(
  v.object({ 'image-service-endpoint': v.nullish(v.string()), 'kubelet-arg': list, 'kubelet-arg+': list }),
)

async function readK3sConfig(file: string) {
  try {
    const found = v.parse(schema, parse(await readFile(file, 'utf8')))
    return {
      endpoint: found?.['image-service-endpoint'] ?? undefined,
      kubeletArgs: [...(found?.['kubelet-arg'] ?? []), ...(found?.['kubelet-arg+'] ?? [])],
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return { endpoint: undefined, kubeletArgs: [] }
    throw error
  }
}
