import { existsSync } from 'node:fs'
import { createKube } from '../../kube/client/client.ts'
import { SHIM } from '../../kube/resources/names.ts'
import { FinalError } from '../../lib/errors.ts'
import { type NodeKey, readPublishedKeys } from '../cluster/published-keys.ts'
import { readConfig } from '../config/config.ts'

export interface KeysArguments {
  /** By default that of the config. */
  readonly kubeconfig: string | undefined
  readonly configFile: string
  readonly format: KeysFormat
}

/** Lines of nix.conf, a list of Nix, or JSON objects. */
export type KeysFormat = 'conf' | 'nix' | 'json'

export interface KeysText {
  readonly text: string
  /** Nodes without a key that can be trusted, one a line. */
  readonly warnings: readonly string[]
}

/** The public keys that the nodes of the cluster have published. Throws ConfigInvalid and the errors of `Kube`. */
export async function keys({ kubeconfig, configFile, format }: KeysArguments, signal: AbortSignal): Promise<KeysText> {
  const kube = createKube({ kubeconfig: kubeconfig ?? (await configured(configFile)), component: SHIM })
  try {
    const nodes = (await readPublishedKeys(kube, signal)).filter(({ fetchOnly }) => !fetchOnly)
    return { text: formatKeys(nodes, format), warnings: warningsOf(nodes) }
  } finally {
    await kube.close()
  }
}

/** Undefined in a pod: its ServiceAccount. */
async function configured(file: string): Promise<string | undefined> {
  if (!existsSync(file))
    throw new FinalError('ConfigInvalid', `there is no config file ${file}: pass another one, or --kubeconfig FILE`)
  const { kubernetes } = await readConfig(file)
  if (kubernetes !== undefined) return kubernetes.kubeconfig
  throw new FinalError('ConfigInvalid', `${file} has no kubernetes section: pass --kubeconfig FILE`)
}

export function formatKeys(nodes: readonly NodeKey[], format: KeysFormat): string {
  if (format === 'json')
    return lines(nodes.map(({ node, key, problem }) => JSON.stringify({ node, publicKey: key?.text, problem })))
  const owners = Map.groupBy(
    nodes.flatMap(({ node, key }) => (key === undefined ? [] : [{ node, text: key.text }])),
    ({ text }) => text,
  )
  const entries = [...owners].map(([text, of]) => ({ text, nodes: of.map(({ node }) => node).join(' ') }))
  if (format === 'nix') return lines(['[', ...entries.map(({ text, nodes }) => `  "${text}" # ${nodes}`), ']'])
  return lines(entries.map(({ text, nodes }) => `extra-trusted-public-keys = ${text} # ${nodes}`))
}

function lines(all: readonly string[]): string {
  return all.map(line => `${line}\n`).join('')
}

function warningsOf(nodes: readonly NodeKey[]): string[] {
  if (nodes.length === 0) return ['the cluster has no NixNode of a node that builds']
  return nodes.flatMap(({ node, problem }) => (problem === undefined ? [] : [`${node} is left out: ${problem}`]))
}
