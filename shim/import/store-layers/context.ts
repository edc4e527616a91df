import type { ImageWriter } from '../../containerd/image-writer.ts'
import { FOLDER_SNAPSHOTTER, type LayerMode } from '../../containerd/services/constants.ts'
import type { SnapshotStore } from '../../containerd/snapshot-store.ts'
import type { ImportProgress, LinkingReport } from '../image/contract.ts'
import type { SizeLimit } from '../image/size-limit.ts'
import type { Closure } from '../store/closure.ts'
import { type DigestCache, openDigestCache } from './digest-cache.ts'
import { type LayerStager, linkingReport, type StagerOptions, tryLinking } from './stage-layers.ts'
import { createTarThreads, type TarThreads } from './tar-threads.ts'

/** What the import of store layers uses. */
export interface StoreLayersContext {
  readonly snapshots: SnapshotStore
  readonly writer: ImageWriter
  readonly closure: Closure
  readonly limit: SizeLimit
  readonly digests: DigestCache
  readonly tars: TarThreads
  /** Whether the content store must have the tar of every layer. */
  readonly wantsTars: boolean
  /** Returns the same stager for each call; undefined if files of the store cannot be linked. */
  readonly openStager: () => Promise<LayerStager | undefined>
  readonly signal: AbortSignal
  readonly onProgress: (progress: ImportProgress) => void
}

export interface StoreLayersOptions extends StagerOptions {
  readonly digestsFolder: string
  readonly layers: LayerMode
  readonly onLinking: (linking: LinkingReport) => void
}

type StoreLayersResources = Pick<StoreLayersContext, 'digests' | 'tars' | 'wantsTars' | 'openStager'>

/** Opens nothing before it is needed. */
export function openStoreLayers(options: StoreLayersOptions): StoreLayersResources & AsyncDisposable {
  const tars = createTarThreads()
  let opening: Promise<LayerStager | undefined> | undefined
  return {
    digests: openDigestCache(options.digestsFolder),
    tars,
    wantsTars: options.layers === 'tar' || options.snapshotter.name !== FOLDER_SNAPSHOTTER,
    openStager() {
      opening ??= open(options)
      return opening
    },
    async [Symbol.asyncDispose]() {
      const opened = await opening?.catch(() => undefined)
      await Promise.all([tars.close(), opened?.close()])
    },
  }
}

async function open({ onLinking, ...options }: StoreLayersOptions): Promise<LayerStager | undefined> {
  const trial = await tryLinking(options)
  onLinking(linkingReport(trial))
  return trial.possible ? trial.stager : undefined
}
