import { createNixOutput } from '../log/nix-output.ts'
import { NO_LOG } from '../log/run-log-file.ts'
import { type NixOptions, nixBaseFlags, runNix } from '../process/run-nix.ts'
import type { BuildUser } from '../user/build-user.ts'

export interface CollectionSetup {
  readonly user: BuildUser
  readonly nix: Pick<NixOptions, 'command'> & { readonly options: Readonly<Record<string, string>> }
}

/** What Nix has deleted until then stays deleted. */
const LIMIT_MS = 5 * 60_000

/**
 * Has Nix delete garbage of about that many bytes, through its daemon if there is one, which any user may ask for. Nix deletes nothing
 * that a gc root or a running command of nix needs. One collection runs at a time per store: this waits for another one, within its time.
 */
export async function runCollection({ nix, user }: CollectionSetup, bytes: number, signal: AbortSignal): Promise<void> {
  const timeLimit = AbortSignal.timeout(LIMIT_MS)
  const { read, errors } = createNixOutput(NO_LOG, () => {})
  const { exitCode } = await runNix({
    command: nix.command,
    args: ['store', 'gc', '--max', String(bytes), ...nixBaseFlags(nix)],
    user,
    signal: AbortSignal.any([signal, timeLimit]),
    onLine: read,
  })
  if (exitCode === 0 || timeLimit.aborted) return
  signal.throwIfAborted()
  throw new Error(`nix store gc failed: ${errors.at(-1)?.text ?? `exit code ${exitCode}`}`)
}
