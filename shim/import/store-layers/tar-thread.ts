import { createHash, type Hash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import { toShimError } from '../../../lib/errors.ts'
import { takeEntries } from '../image/size-limit.ts'
import { isMerged } from '../layers/layer.ts'
import { CHUNK_BYTES } from '../tar/chunks.ts'
import { storePathTar } from '../tar/store-path-tar.ts'
import { RING_CHUNKS, type TarReport, type TarTask } from './tar-task.ts'

/** A thread that makes tars of layers, one after another: gets TarTasks, tells TarReports. */
parentPort?.on('message', (task: TarTask) => make(task))

async function make({ layer, entries, want, ring, room }: TarTask): Promise<void> {
  const left = new Int32Array(room)
  const hash = want === 'digest' ? createHash('sha256') : undefined
  const places = Buffer.from(ring)
  let sent = 0
  let size = 0
  try {
    for (const chunk of await tarOf(layer, entries)) {
      size += chunk.length
      if (!waitForRoom(left, hash)) break
      if (hash) hash.update(chunk)
      else {
        chunk.copy(places, (sent % RING_CHUNKS) * CHUNK_BYTES)
        report({ kind: 'chunk', length: chunk.length })
        sent += 1
      }
    }
    report({ kind: 'end', size, ...(hash && { digest: `sha256:${hash.digest('hex')}` }) })
  } catch (error) {
    const { code, message, stack } = toShimError(error)
    report({ kind: 'failed', code, message, stack })
  }
}

/** What nix2container's layers need is loaded for them alone. */
async function tarOf(layer: TarTask['layer'], entries: TarTask['entries']): Promise<Iterable<Buffer>> {
  const count = (made: number) => takeEntries(entries, made)
  if (!isMerged(layer)) return storePathTar(layer, count)
  const [{ mergedLayerTar }, { compileRegexes }] = await Promise.all([
    import('../formats/nix2container/tar.ts'),
    import('../formats/nix2container/regex.ts'),
  ])
  return mergedLayerTar(layer, await compileRegexes(layer), count)
}

/** This thread has nothing else to do than to wait. False when no more is wanted. */
function waitForRoom(left: Int32Array, hash: Hash | undefined): boolean {
  for (;;) {
    const room = Atomics.load(left, 0)
    if (room < 0) return false
    if (hash) return true
    if (room > 0) {
      Atomics.sub(left, 0, 1)
      return true
    }
    Atomics.wait(left, 0, 0)
  }
}

function report(message: TarReport): void {
  parentPort?.postMessage(message)
}
