import { isIP } from 'node:net'
import type { NixConfig } from '../../nix/process/nix-config.ts'
import { USE_FEATURES } from '../nix/nix-of-shim.ts'
import type { RunNix } from '../nix/sandbox.ts'
import { type Finding, ok, warning } from '../probes/finding.ts'
import { cacheProblem, isWebUrl } from './binary-cache.ts'

/** Whether the address that the NixNode shows leads to a binary cache. */
export async function judgeAddress(address: string | undefined, signal: AbortSignal): Promise<Finding> {
  if (address === undefined) return ok('none: this node copies from others, but none copies from it')
  const problem = await cacheProblem(address, signal)
  if (problem !== undefined)
    return warning(
      `${address} cannot be used: ${problem}`,
      'start the binary cache (harmonia, nix-serve), open its port, or correct share.address',
    )
  const { hostname } = new URL(address)
  if (isLocal(hostname))
    return warning(
      `${address} is this machine for every node`,
      'set share.address to an address that other nodes reach',
    )
  return ok(`${address} answers this node`)
}

function isLocal(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/** Whether the configured stores answer. `run` is for stores that only nix can ask. */
export async function judgeStores(stores: readonly string[], run: RunNix, signal: AbortSignal): Promise<Finding> {
  if (stores.length === 0) return ok('share.stores has none')
  const problems: string[] = []
  for (const store of stores) {
    const problem = await storeProblem(store, run, signal)
    if (problem !== undefined) problems.push(`${store}: ${problem}`)
  }
  if (problems.length === 0) return ok(`${stores.join(', ')}: all answer`)
  return warning(
    `not all of share.stores answer: ${problems.join('; ')}`,
    'start them, correct share.stores, or remove them: each pull asks them first',
  )
}

async function storeProblem(store: string, run: RunNix, signal: AbortSignal): Promise<string | undefined> {
  if (isWebUrl(store)) return cacheProblem(store, signal)
  const answer = await run(['store', 'ping', '--store', store, ...USE_FEATURES])
  return 'problem' in answer ? answer.problem : undefined
}

/** Whether other nodes can use what this one pushes. */
export function judgePush(push: string | undefined, settings: Pick<NixConfig, 'secretKeyFiles'> | undefined): Finding {
  if (push === undefined) return ok('share.push has none')
  const { searchParams, protocol } = new URL(push)
  if (settings?.secretKeyFiles.length === 0 && !searchParams.has('secret-key'))
    return warning(
      `what this node pushes to ${push} has no signature, so no node may use it`,
      'set secret-key-files in /etc/nix/nix.conf, and restart the Nix daemon',
    )
  if (protocol !== 'ssh-ng:' && !searchParams.has('compression'))
    return warning(
      `${push} gets its files as xz, which takes a processor a minute for 200 MB`,
      `add ${searchParams.size === 0 ? '?' : '&'}compression=zstd to share.push`,
    )
  return ok(push)
}
