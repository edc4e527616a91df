import pMap from 'p-map'
import type { NodeKey } from '../../cluster/published-keys.ts'
import type { NixConfig } from '../../nix/process/nix-config.ts'
import { type Finding, ok, skipped, warning } from '../probes/finding.ts'
import { cacheProblem, isWebUrl } from './binary-cache.ts'

/** Nodes in a message, and nodes that are asked. */
const MAX_NAMED = 3
const MAX_ASKED = 8

/** Whether this node may use what other nodes sign. */
export function judgeTrust(
  others: readonly NodeKey[],
  settings: Pick<NixConfig, 'trustedKeys' | 'requiresSignatures'> | undefined,
): Finding {
  if (settings === undefined) return skipped('nix does not tell which keys it trusts')
  const { trustedKeys, requiresSignatures } = settings
  if (!requiresSignatures)
    return warning(
      'Nix accepts store paths without a signature: any node can decide about the content of images here',
      'remove require-sigs = false from /etc/nix/nix.conf, and restart the Nix daemon',
    )
  // Nodes that build nothing sign nothing: they serve what others have signed.
  const sharing = others.filter(({ address, fetchOnly }) => address !== undefined && !fetchOnly)
  if (sharing.length === 0) return ok('no other node serves what it builds yet')
  const strange = sharing.filter(({ problem }) => problem !== undefined)
  const untrusted = sharing.filter(({ key }) => key !== undefined && !trustedKeys.includes(key.text))
  if (untrusted.length > 0)
    return warning(
      `this node does not trust the keys of ${named(untrusted)}: it builds what it could copy from there`,
      'compare them with the nodes (enbi-shim keys), add them to trusted-public-keys in /etc/nix/nix.conf, and restart the Nix daemon',
    )
  const [first] = strange
  if (first !== undefined)
    return warning(
      `nobody can trust what ${named(strange)} serves; ${first.node}: ${first.problem}`,
      'set share.publicKeyFile there, and give each key a name of its own',
    )
  return ok(`those of all ${sharing.length} nodes that serve what they build`)
}

/** Whether the caches of other nodes answer this one. */
export async function judgePeers(others: readonly NodeKey[], signal: AbortSignal): Promise<Finding> {
  const urls = others.flatMap(({ node, address }) =>
    address !== undefined && isWebUrl(address) && URL.canParse(address) ? [{ node, address }] : [],
  )
  if (urls.length === 0) return ok('no other node serves its store yet')
  const asked = urls.toSorted(() => Math.random() - 1 / 2).slice(0, MAX_ASKED)
  const problems = await pMap(asked, async peer => ({ ...peer, problem: await cacheProblem(peer.address, signal) }))
  const away = problems.filter(({ problem }) => problem !== undefined)
  const [first] = away
  if (first === undefined) return ok(`${asked.length} of ${urls.length} asked, and all answer`)
  return warning(
    `${away.length} of ${asked.length} cannot be used: ${named(away)}; ${first.address}: ${first.problem}`,
    'start the binary cache there, open its port for this node, or correct share.address there',
  )
}

function named(nodes: readonly { readonly node: string }[]): string {
  const more = nodes.length > MAX_NAMED ? ` and ${nodes.length - MAX_NAMED} more` : ''
  return `${nodes
    .slice(0, MAX_NAMED)
    .map(({ node }) => node)
    .join(', ')}${more}`
}
