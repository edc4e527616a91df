import { readFile } from 'node:fs/promises'
import { expect } from 'vitest'
import type { Shim } from '../node/shim.ts'

const LIMIT_MS = 20_000

/** Runs of nix so far, as the shim's log has them. */
export async function countBuilds(shim: Shim): Promise<number> {
  return countLogged(shim, 'build started')
}

/** Waits until the shim has logged the message. */
export async function untilLogged(shim: Shim, message: string): Promise<void> {
  await expect.poll(() => countLogged(shim, message), { timeout: LIMIT_MS }).toBeGreaterThan(0)
}

async function countLogged({ daemon }: Shim, message: string): Promise<number> {
  const log = await readFile(daemon.logPath, 'utf8')
  return log.split(`"msg":"${message}"`).length - 1
}
