import { chown, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createKube } from '../../../kube/client/client.ts'
import { SHIM } from '../../../kube/resources/names.ts'
import { messageOf } from '../../../lib/errors.ts'
import { type NodeKey, readPublishedKeys } from '../../cluster/published-keys.ts'
import type { Config } from '../../config/config.ts'
import { isFetchOnly } from '../../config/config-schema.ts'
import { createNixOfShim, type NixCheckOptions } from '../nix/nix-of-shim.ts'
import { type Check, type Finding, ok, skipped } from '../probes/finding.ts'
import { isRoot } from '../probes/processes.ts'
import { judgePeers, judgeTrust } from './judge-peers.ts'
import { judgeSigning } from './judge-signing.ts'
import { judgeAddress, judgePush, judgeStores } from './judge-stores.ts'

type Parts = Pick<Config, 'share' | 'kubernetes' | 'stateDir' | 'nix'>

/** Whether this node and the others can copy from each other what they build. No checks if the config shares nothing. */
export function checkShare(config: Parts, options: NixCheckOptions): readonly Check[] {
  const { share, kubernetes, stateDir, nix } = config
  if (share === undefined) return []
  const nixOfShim = createNixOfShim(config, options)
  const withNix = (name: string, look: (signal: AbortSignal) => Promise<Finding>): Check => ({
    name,
    async look(signal) {
      if (nix.user !== null && !isRoot()) return skipped(`only root can become ${nix.user}`)
      if ((await nixOfShim.user()).problem !== undefined) return skipped(`the user ${nix.user} does not exist`)
      return look(signal)
    },
  })
  const keys = once(signal => readKeys(kubernetes, signal))
  const ofOthers = async (judge: (others: readonly NodeKey[]) => Finding | Promise<Finding>, signal: AbortSignal) => {
    const found = await keys(signal)
    if (typeof found === 'string') return skipped(found)
    return judge(found.filter(({ node }) => node !== kubernetes?.nodeName))
  }
  const published = async (signal: AbortSignal) => {
    const found = await keys(signal)
    return typeof found === 'string' ? undefined : found.find(({ node }) => node === kubernetes?.nodeName)
  }
  return [
    { name: 'shared address', look: signal => judgeAddress(share.address, signal) },
    withNix('signing key', async signal => {
      if (isFetchOnly(nix)) return ok('this node builds nothing')
      if (share.address === undefined && share.push === undefined) return ok('nobody copies from this node')
      return judgeSigning({
        ...{ publicKeyFile: share.publicKeyFile, stateDir },
        run: args => nixOfShim.run(args, signal),
        settings: () => nixOfShim.settings(signal),
        published: () => published(signal),
      })
    }),
    withNix('trusted keys', signal =>
      ofOthers(async others => judgeTrust(others, await nixOfShim.settings(signal)), signal),
    ),
    { name: 'peers', look: signal => ofOthers(others => judgePeers(others, signal), signal) },
    withNix('stores', async signal => {
      // Nix remembers in its cache what stores answer.
      const cache = await mkdtemp(join(tmpdir(), 'enbi-doctor-'))
      try {
        const { uid = -1, gid = -1 } = await nixOfShim.user()
        await chown(cache, uid, gid)
        return await judgeStores(share.stores, args => nixOfShim.run(args, signal, { XDG_CACHE_HOME: cache }), signal)
      } finally {
        await rm(cache, { recursive: true, force: true })
      }
    }),
    withNix('push store', async signal => judgePush(share.push, await nixOfShim.settings(signal))),
  ]
}

/** Or why there are none. */
async function readKeys(kubernetes: Parts['kubernetes'], signal: AbortSignal): Promise<readonly NodeKey[] | string> {
  if (kubernetes === undefined) return 'the config has no kubernetes section'
  try {
    const kube = createKube({ kubeconfig: kubernetes.kubeconfig, component: SHIM })
    try {
      return await readPublishedKeys(kube, signal)
    } finally {
      await kube.close()
    }
  } catch (error) {
    return `the API server does not tell the keys of nodes: ${messageOf(error)}`
  }
}

/** Several checks need the answer. All start together, with the same time limit. */
function once<Answer>(ask: (signal: AbortSignal) => Promise<Answer>): (signal: AbortSignal) => Promise<Answer> {
  let answer: Promise<Answer> | undefined
  return signal => {
    answer ??= ask(signal)
    return answer
  }
}
