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
 * that a gc root or a running command of nix needs. Returns how many bytes it says that it has freed, if it does. One collection runs
 * at a time per store: this waits for another one, within its time.
 */
export async function runCollection(
  { nix, user }: CollectionSetup,
  bytes: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const timeLimit = AbortSignal.timeout(LIMIT_MS)
  const { read, errors } = createNixOutput(NO_LOG, () => {})
  const { exitCode, stdout } = await runNix({
    command: nix.command,
    args: ['store', 'gc', '--max', String(bytes), ...nixBaseFlags(nix)],
    user,
    signal: AbortSignal.any([signal, timeLimit]),
    onLine: read,
  })
  if (exitCode === 0) return readFreed(stdout)
  if (timeLimit.aborted) return undefined
  signal.throwIfAborted()
  throw new Error(`nix store gc failed: ${errors.at(-1)?.text ?? `exit code ${exitCode}`}`)
}

const UNITS: Readonly<Record<string, number>> = { bytes: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }

/** In the last words of Nix: `5 store paths deleted, 22.00 MiB freed`. */
export function readFreed(stdout: string): number | undefined {
  const [, number = '', unit = ''] = /\b(\d{1,15}(?:\.\d{1,3})?) (\w{3,5}) freed\s*$/.exec(stdout) ?? []
  const size = UNITS[unit]
  return size === undefined ? undefined : Math.round(Number(number) * size)
}
