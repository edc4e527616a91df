import type { ImageWriter } from '../../containerd/image-writer.ts'
import type { LayerKeeper } from '../../containerd/layer-keeper.ts'
import type { ImportProgress } from '../image/contract.ts'
import type { SizeLimit } from '../image/size-limit.ts'
import type { Closure } from '../store/closure.ts'
import type { ValidPaths } from '../store/valid-paths.ts'
import type { DigestCache } from './digest-cache.ts'
import type { Linking } from './linking.ts'
import type { TarThreads } from './tar-threads.ts'

/** What an import of store paths works with. */
export interface NativeStage {
  readonly keeper: LayerKeeper
  readonly writer: ImageWriter
  readonly cache: DigestCache
  readonly tars: TarThreads
  readonly closure: Closure
  readonly paths: ValidPaths
  readonly limit: SizeLimit
  /** Whether every layer's tar has to be in the content store. */
  readonly wantsTars: boolean
  /** How store paths get into snapshots without a tar; undefined when they can't. */
  readonly linking: () => Promise<Linking | undefined>
  readonly signal: AbortSignal
  readonly onProgress: (progress: ImportProgress) => void
}
