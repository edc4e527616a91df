import type { ImageWriter } from '../../containerd/image-writer.ts'
import { FOLDER_SNAPSHOTTER, type LayerMode } from '../../containerd/services/constants.ts'
import type { LayerKeeper } from '../../containerd/snapshot-store.ts'
import type { ImportProgress, LinkingReport } from '../image/contract.ts'
import type { SizeLimit } from '../image/size-limit.ts'
import type { Closure } from '../store/closure.ts'
import { type DigestCache, openDigestCache } from './digest-cache.ts'
import { type Linking, type LinkingOptions, openLinking } from './stage-layers.ts'
import { createTarThreads, type TarThreads } from './tar-threads.ts'

/** What the import of store layers uses. */
export interface StoreLayersContext {
  readonly keeper: LayerKeeper
  readonly writer: ImageWriter
  readonly closure: Closure
  readonly limit: SizeLimit
  readonly digests: DigestCache
  readonly tars: TarThreads
  /** Whether every layer's tar has to be in the content store. */
  readonly wantsTars: boolean
  /** Opens the way of store paths into snapshots without a tar, at the first call; undefined if there is none. */
  readonly linking: () => Promise<Linking | undefined>
  readonly signal: AbortSignal
  readonly onProgress: (progress: ImportProgress) => void
}

export interface StoreLayersOptions
  extends Pick<LinkingOptions, 'snapshotter' | 'probe' | 'viewFolder' | 'trustStore'> {
  readonly digestsFolder: string
  readonly layers: LayerMode
  readonly signal: AbortSignal
  readonly onLinking: (linking: LinkingReport) => void
}

type StoreLayersResources = Pick<StoreLayersContext, 'digests' | 'tars' | 'wantsTars' | 'linking'>

/** Opens nothing before it is needed. */
export function openStoreLayers(options: StoreLayersOptions): StoreLayersResources & AsyncDisposable {
  const tars = createTarThreads()
  let opening: Promise<Linking | undefined> | undefined
  return {
    digests: openDigestCache(options.digestsFolder),
    tars,
    wantsTars: options.layers === 'tar' || options.snapshotter.name !== FOLDER_SNAPSHOTTER,
    linking() {
      opening ??= open(options)
      return opening
    },
    async [Symbol.asyncDispose]() {
      const opened = await opening?.catch(() => undefined)
      await Promise.all([tars.close(), opened?.close()])
    },
  }
}

async function open({ onLinking, ...options }: StoreLayersOptions): Promise<Linking | undefined> {
  const opened = await openLinking(options)
  onLinking({ possible: opened.possible, how: opened.how })
  return opened.possible ? opened.linking : undefined
}
