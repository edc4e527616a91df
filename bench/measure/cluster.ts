import type { Result } from '../result.ts'
import { measureBuildWrites } from './build-writes.ts'
import { measureController } from './controller.ts'
import { measurePodStart } from './pod-start.ts'

export async function measureCluster(): Promise<Result[]> {
  return [...(await measurePodStart()), ...(await measureBuildWrites()), ...(await measureController())]
}
