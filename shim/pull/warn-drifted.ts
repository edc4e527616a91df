import type { Logger } from 'pino'
import { STATUS } from '../../lib/grpc/status.ts'
import { describeDrifted, findDrifted, isNamesake } from '../../recipes/names/drifted-annotations.ts'
import { readableReference } from '../../recipes/reference.ts'
import type { PullImageRequest } from '../wire/cri.ts'
import type { WarnPod } from './contract.ts'

export interface DriftParts {
  /** Missing without a cluster. */
  readonly warnPod: WarnPod | undefined
  readonly logger: Logger
}

/**
 * Warns if an image that was pulled without a recipe has nearly the name of one that the pod's annotations name. The shim knows
 * only this image of the pod. So it warns the pod only if the pull has failed: both images may be the pod's.
 */
export function warnDrifted(
  { warnPod, logger }: DriftParts,
  { image, annotations, namespace, pod }: PullImageRequest,
  grpcStatus: number,
): void {
  const reference = readableReference(image)
  if (reference === undefined || grpcStatus === STATUS.CANCELLED) return
  const drifted = findDrifted(annotations, [image]).find(({ image: named }) => isNamesake(named, reference))
  if (drifted === undefined) return
  const { annotation, image: named } = drifted
  const fields = { image, annotation, named, namespace, pod: pod?.name }
  if (grpcStatus === STATUS.OK) {
    logger.info(fields, 'an image was pulled without a recipe, and an annotation of its pod names a similar one')
    return
  }
  logger.warn(fields, 'an image without a recipe cannot be pulled, and an annotation of its pod names a similar one')
  if (pod) warnPod?.(pod, { reason: 'NixBuildMismatch', message: describeDrifted(drifted) })
}
