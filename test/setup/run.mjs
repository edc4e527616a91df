import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The project's top folder, without a slash at its end. */
export const TOP = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** A failure whose message is all that the user needs. */
export class SetupError extends Error {}

/** Runs a program in the project's top folder; its errors go to the terminal. Returns whether it succeeded. */
export function succeeds(command, args, env = {}) {
  const { error, status } = spawnSync(command, args, {
    cwd: TOP,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...env },
  })
  if (error && error.code !== 'ENOENT') throw error
  return status === 0
}

export function say(text) {
  console.log(`setup: ${text}`)
}
