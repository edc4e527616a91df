import { NODE_LABEL, nodeLabelValue } from '../../kube/resources/names.ts'
import type { NixBuild } from '../../kube/resources/nixbuild.ts'
import type { Tries } from '../pull/contract.ts'
import type { Ending } from './ending.ts'

interface Trying {
  readonly live: NixBuild
  readonly node: string
  /** Of whoever builds it because it is given to this node. */
  readonly tries?: Tries | undefined
}

/** How a run ended, for a NixBuild that is given to this node: nobody pulls that, and a failure that may pass is not its end. */
export function endingOfTry(ending: Ending | undefined, { live, node, tries }: Trying): Ending | undefined {
  const isGiven = live.metadata.labels[NODE_LABEL] === nodeLabelValue(node)
  if (!tries || !isGiven || ending?.kind !== 'Failed' || ending.final) return ending
  const { number, most } = tries
  return number < most
    ? { ...ending, kind: 'Retrying', message: `try ${number} of ${most} failed on ${node}: ${ending.message}` }
    : { ...ending, message: `given up after ${most} tries on ${node}: ${ending.message}` }
}
