import { creatorOf, isFinished, type NixBuild } from '../../kube/resources/nixbuild.ts'

/** Names of the NixBuilds that have not ended, and of those that are more than the controller keeps. No pod uses one. */
export function buildsBeyondRetention(builds: readonly NixBuild[], keepFinished: number): string[] {
  const unfinished = builds.filter(({ status }) => !isFinished(status.status))
  const finished = builds.filter(({ status }) => isFinished(status.status))
  const groups = Map.groupBy(finished, build => `${build.metadata.namespace} ${creatorOf(build)}`)
  const surplus = [...groups.values()].flatMap(group => group.slice(keepFinished))
  return [...surplus, ...unfinished].map(
    ({ metadata, status }) => `${metadata.namespace}/${metadata.name} (${status.status})`,
  )
}
