import { RetryableError, type ShimError, toShimError } from '../../../lib/errors.ts'
import { readStart } from '../../../lib/files/read-start.ts'
import type { Recipe } from '../../../recipes/recipe.ts'
import { isFlakeRecipe } from '../../../recipes/recipe.ts'
import { ADD_KEY, checkNarInfo } from '../binary-cache/check-narinfo.ts'
import { COPY_OPTIONS, checkPeerUrl, copyFromArgs, isHttp } from '../binary-cache/copy-args.ts'
import type { BuildProgress } from '../log/build-progress.ts'
import { daemonSocket } from '../store/daemon-connection.ts'
import type { BuildResult } from '../store/results.ts'
import { withTemporaryRoot } from '../store/temporary-root.ts'
import { forStores } from '../user/build-user.ts'
import type { CopyOrder, Evaluated } from './messages.ts'
import { type NixRunCall, type NixSession, type NixSetup, withNix } from './nix-session.ts'
import { madeOf, saveResult } from './save-result.ts'
import { keepValid } from './shared-path.ts'

export interface WantedCopy {
  readonly recipe: Recipe
  readonly evaluated: Evaluated
  readonly copy: CopyOrder
}

/**
 * Copies the output of an evaluated recipe from a binary cache, gives it a gc root and remembers the result. Builds nothing. Throws
 * CopyFailed, or Cancelled.
 */
export function copyRecipe(setup: NixSetup, wanted: WantedCopy, call: NixRunCall): Promise<BuildResult> {
  const { recipe, evaluated, copy } = wanted
  const { runId, storePath } = evaluated
  const socket = daemonSocket(setup.user.env)
  const onProgress = (progress: BuildProgress) => call.onProgress(asCopying(copy, progress))
  const limited = { ...setup, user: forStores(setup.user), nix: { ...setup.nix, timeoutMs: copy.timeoutMs } }
  return withNix(limited, { recipe, what: 'copy', runId }, { ...call, onProgress }, async session => {
    try {
      if (!isFlakeRecipe(recipe)) throw new Error('a store path is not copied')
      // A collection between the copy and the gc root would delete the path.
      await withTemporaryRoot({ socket, storePath, signal: session.signal, logger: setup.logger }, async () => {
        if (await keepValid(limited, recipe, storePath, session)) return
        await copyPath(limited, wanted, session)
        // A path on disk is not enough: it may be the rest of a copy that was interrupted.
        if (!(await keepValid(limited, recipe, storePath, session))) throw notValid()
      })
      const made = madeOf(recipe, evaluated, { storePath, output: 'out' })
      return await saveResult(setup.results, recipe, runId, made)
    } catch (error) {
      throw call.signal.aborted ? error : copyFailed(wanted, toShimError(error))
    }
  })
}

async function copyPath(setup: NixSetup, { evaluated, copy }: WantedCopy, session: NixSession): Promise<void> {
  const { storePath, isFixed } = evaluated
  const { url, node } = copy
  const { signal, onProgress } = session
  onProgress({ phase: 'fetching', doneBytes: 0, expectedBytes: 0 })
  if (node !== undefined) checkPeerUrl(url)
  if (isHttp(url)) {
    const ownKeys = await readOwnKeys(copy.ownKeyFile)
    await checkNarInfo({ ...setup, url, storePath, isFixed, ownKeys, signal, followsRedirects: node === undefined })
  }
  await session.nix('building', copyFromArgs(url, storePath), { subject: 'nix copy', options: COPY_OPTIONS })
}

/** Longer than any key. */
const MAX_KEY_BYTES = 1024

async function readOwnKeys(file: string | undefined): Promise<string[]> {
  if (file === undefined) return []
  const text = await readStart(file, { maxBytes: MAX_KEY_BYTES, followsLink: true }).catch(() => '')
  return text.split(/\s+/).filter(key => key !== '')
}

function asCopying({ url, node }: CopyOrder, progress: BuildProgress): BuildProgress {
  if (progress.phase !== 'fetching') return progress
  const { doneBytes, expectedBytes } = progress
  return { phase: 'copying', from: nameOf(url, node), doneBytes, expectedBytes }
}

const MAX_NAME_LENGTH = 255

function nameOf(url: string, node: string | undefined): string {
  return (node ?? url).slice(0, MAX_NAME_LENGTH)
}

function notValid(): RetryableError {
  return new RetryableError('CopyFailed', 'nix copy ended, but the path is not valid in the Nix store')
}

/** The Nix daemon may trust fewer keys than what was asked, and than the references are signed with. */
function withWayOut(message: string): string {
  return LACKS_SIGNATURE.test(message) ? `${message}: ${ADD_KEY}` : message
}

const LACKS_SIGNATURE = /lacks a (?:valid )?signature/

function copyFailed({ evaluated, copy }: WantedCopy, cause: ShimError): RetryableError {
  const from = copy.node === undefined ? copy.url : `${copy.node} (${copy.url})`
  const why =
    cause.code === 'BuildTimedOut'
      ? `it took longer than ${copy.timeoutMs / 1000} s (share.copyTimeout in the config)`
      : withWayOut(cause.message)
  return new RetryableError('CopyFailed', `${evaluated.storePath} could not be copied from ${from}: ${why}`, { cause })
}
