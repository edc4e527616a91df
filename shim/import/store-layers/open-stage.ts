import type { ImageWriter } from '../../containerd/image-writer.ts'
import { FOLDER_SNAPSHOTTER, type LayerKeeper } from '../../containerd/layer-keeper.ts'
import type { SizeLimit } from '../image/size-limit.ts'
import type { Closure } from '../store/closure.ts'
import { createValidPaths } from '../store/valid-paths.ts'
import type { ImportJob } from '../worker/messages.ts'
import type { ImportRun } from '../worker/run-import.ts'
import { openDigestCache } from './digest-cache.ts'
import { type Linking, type LinkingOptions, openLinking } from './linking.ts'
import type { NativeStage } from './stage.ts'
import { createTarThreads } from './tar-threads.ts'

interface Containerd {
  readonly keeper: LayerKeeper
  readonly writer: ImageWriter
  readonly closure: Closure
  readonly limit: SizeLimit
}

/** Nothing is opened before it is needed. */
export function openNativeStage({ keeper, writer, closure, limit }: Containerd, job: ImportJob, run: ImportRun) {
  const tars = createTarThreads()
  const { snapshotter } = keeper
  const { viewFolder, trustStore } = job
  let opening: Promise<Linking | undefined> | undefined
  const linking = () => {
    opening ??= open({ snapshotter, probe: job.storePath, viewFolder, trustStore, signal: run.signal }, run)
    return opening
  }
  const wantsTars = job.layers === 'tar' || snapshotter.name !== FOLDER_SNAPSHOTTER
  const stage: NativeStage = {
    keeper,
    writer,
    cache: openDigestCache(job.digestsFolder),
    tars,
    closure,
    paths: createValidPaths(closure),
    limit,
    wantsTars,
    linking,
    signal: run.signal,
    onProgress: run.onProgress,
  }
  return {
    stage,
    async [Symbol.asyncDispose]() {
      const opened = await opening?.catch(() => undefined)
      await Promise.all([tars.close(), opened?.close()])
    },
  }
}

async function open(options: LinkingOptions, run: ImportRun): Promise<Linking | undefined> {
  const opened = await openLinking(options)
  run.onLinking({ possible: opened.possible, how: opened.how })
  return opened.possible ? opened.linking : undefined
}
