import { readdir } from 'node:fs/promises'
import * as v from 'valibot'
import { readOutput } from '../../../lib/process/run-process.ts'
import { idsOf } from '../user/build-user.ts'
import type { CollectionSetup } from './run-collection.ts'

/** Names of timers that collect garbage: that of NixOS (`nix.gc.automatic`), and common ones. */
const TIMERS: ReadonlySet<string> = new Set(['nix-gc.timer', 'nix-collect-garbage.timer', 'nh-clean.timer'])
/** Where systemd has the timers that it starts at boot. */
const TIMERS_FOLDER = '/etc/systemd/system/timers.target.wants'

const LIMIT_MS = 30_000

/** Nix collects by itself, while it builds. */
export const MIN_FREE = 'min-free in nix.conf'

/** What else collects garbage of the store, such as `nix-gc.timer`; undefined if nothing does, as far as this can tell. */
export async function findOtherCollector(
  setup: CollectionSetup,
  signal: AbortSignal,
  timersFolder = TIMERS_FOLDER,
): Promise<string | undefined> {
  const timers = await readdir(timersFolder).catch(() => [])
  const timer = timers.find(name => TIMERS.has(name))
  return timer ?? ((await minFree(setup, signal)) > 0 ? MIN_FREE : undefined)
}

const settingsSchema = v.object({ 'min-free': v.object({ value: v.number() }) })

/** 0 if Nix does not tell: then no setting is known. */
async function minFree({ nix, user }: CollectionSetup, signal: AbortSignal): Promise<number> {
  const { env, home } = user
  // Newer versions call it `config show`, and still accept this name.
  const args = ['show-config', '--json', '--extra-experimental-features', 'nix-command flakes']
  try {
    const text = await readOutput({
      ...{ command: nix.command, args, ...idsOf(user), env, cwd: home },
      ...{ signal, timeoutMs: LIMIT_MS },
    })
    return v.parse(settingsSchema, JSON.parse(text))['min-free'].value
  } catch {
    return 0
  }
}
