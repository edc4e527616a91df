import type { NixBuildView } from '../views/nixbuild.ts'
import { isActive } from '../views/nixnode.ts'
import type { RequestedBuild } from './image-built.ts'

/**
 * The builds that a pod's condition reports. If an image's name is its recipe, it may have NixBuilds of several
 * recipes, such as that of yesterday's rule. Of these the pod reports the one that its node works on or has in its
 * NixNode, or else one that is being built, or else the furthest. Those that were created for another node do not count.
 */
export function reportedBuilds(requested: readonly RequestedBuild[], node: string | undefined): RequestedBuild[] {
  const annotated = requested.filter(({ request }) => !request.named)
  const named = requested.filter(
    ({ request, build, entry }) =>
      request.named && build !== undefined && (entry !== undefined || isReportedOn(build, node)),
  )
  const byImage = Map.groupBy(named, ({ request }) => request.recipe.image)
  return [...annotated, ...[...byImage.values()].flatMap(each => reportedNamedBuild(each) ?? [])]
}

function isReportedOn(build: NixBuildView, node: string | undefined): boolean {
  return build.createdBy !== 'shim' || build.buildNode === node
}

function reportedNamedBuild(named: readonly RequestedBuild[]): RequestedBuild | undefined {
  const ofNode = named.filter(({ entry }) => entry !== undefined)
  const atWork = ofNode.find(({ entry }) => entry && isActive(entry))
  if (atWork) return atWork
  const builds = (ofNode.length > 0 ? ofNode : named).flatMap(({ build }) => build ?? [])
  const best = builds.find(build => stageOf(build) === 'atWork') ?? furthestBuild(builds)
  return named.find(({ build }) => build !== undefined && build === best)
}

/** Of several NixBuilds of one recipe, the one that has got furthest. */
export function furthestBuild(builds: readonly NixBuildView[]): NixBuildView | undefined {
  const rank = (build: NixBuildView) => STAGES.indexOf(stageOf(build))
  return builds.toSorted((a, b) => rank(b) - rank(a) || a.createdAt - b.createdAt || a.name.localeCompare(b.name))[0]
}

/** How far a NixBuild has got, in order. */
const STAGES = ['deleting', 'failed', 'waiting', 'atWork', 'succeeded'] as const

function stageOf({ deleting, phase }: NixBuildView): (typeof STAGES)[number] {
  if (deleting) return 'deleting'
  switch (phase) {
    case 'Succeeded':
      return 'succeeded'
    case 'Failed':
      return 'failed'
    case 'Building':
    case 'Importing':
      return 'atWork'
    case 'Pending':
    case undefined:
      return 'waiting'
  }
}
