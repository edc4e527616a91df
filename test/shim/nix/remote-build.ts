import type { BuildProgress } from '../../../shim/nix/log/build-progress.ts'
import type { BuildResult } from '../../../shim/nix/store/results.ts'
import type { Asked } from './remote-builder.ts'

/** A running build in another process. */
export interface RemoteBuild {
  /** All progress so far. */
  readonly progress: readonly BuildProgress[]
  readonly done: Promise<BuildResult>
  /** Resolves with the first past or future progress that matches. Rejects if the build ends without it. */
  until(fits: (progress: BuildProgress) => boolean): Promise<BuildProgress>
  /** Resolves with the first group of the first log line that matches. */
  untilLog(pattern: RegExp): Promise<string>
  abort(): void
}

export function follow(asked: Asked, abort: () => void): RemoteBuild {
  const progress: BuildProgress[] = []
  asked.onProgress(each => progress.push(each))
  const done = asked.done.then(({ output }) => {
    if (output === undefined) throw new Error('a build without output')
    return output
  })
  done.catch(() => {})
  const until: RemoteBuild['until'] = async fits => {
    const past = progress.find(fits)
    if (past) return past
    return new Promise((resolve, reject) => {
      asked.onProgress(each => fits(each) && resolve(each))
      done.then(() => reject(new Error('the build ended first')), reject)
    })
  }
  return {
    progress,
    done,
    until,
    abort,
    async untilLog(pattern) {
      const found = await until(each => each.phase === 'log' && pattern.test(each.line))
      return (found.phase === 'log' && pattern.exec(found.line)?.[1]) || ''
    },
  }
}
