import { RetryableError } from '../../../lib/errors.ts'
import { pushArgs } from '../binary-cache/copy-args.ts'
import { explainFailedQuery } from '../failure/explain-failure.ts'
import { createNixOutput } from '../log/nix-output.ts'
import { NO_LOG } from '../log/run-log-file.ts'
import { nixFlags, runNix } from '../process/run-nix.ts'
import { forStores } from '../user/build-user.ts'
import type { PushOrder } from './messages.ts'
import type { NixSetup } from './nix-session.ts'

/** Copies a store path and its references to another store, without a log. Throws a ShimError. */
export async function pushPath(
  { dir, user, nix, onGroup }: NixSetup,
  { storePath, url, timeoutMs }: PushOrder,
  signal: AbortSignal,
): Promise<void> {
  const timeLimit = AbortSignal.timeout(timeoutMs)
  const { read, errors, foreign, ignored } = createNixOutput(NO_LOG, () => {})
  const { exitCode, killedBy } = await runNix({
    command: nix.command,
    args: [...pushArgs(url, storePath), ...nixFlags({ ...nix, timeoutMs })],
    user: forStores(user),
    signal: AbortSignal.any([signal, timeLimit]),
    onLine: read,
    onGroup,
  })
  if (exitCode === 0) return
  const what = `copying ${storePath} to ${url} failed`
  if (signal.aborted) throw new RetryableError('Cancelled', `${what}: it was cancelled`)
  if (timeLimit.aborted) throw new RetryableError('CopyFailed', `${what}: it took longer than ${timeoutMs / 1000} s`)
  throw explainFailedQuery({ stateDir: dir.root, exit: { exitCode, killedBy }, errors, foreign, ignored }, what)
}
