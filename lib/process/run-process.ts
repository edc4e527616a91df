/** Folders that root alone can write: in those of our own PATH others may choose what root runs. */
export const SYSTEM_PATH = '/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Signals every process of the group that `pid` leads; a group that has ended already is fine. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // It has ended already.
  }
}
