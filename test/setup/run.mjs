import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { startTicker } from './ticker.mjs'

/** The project's top folder, without a trailing slash. */
export const TOP = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** A failure that its message explains to the user completely. */
export class SetupError extends Error {}

/**
 * Runs a program in the project's top folder and shows how long it has been running. `readLine` gets each line that the program
 * writes and returns its progress in a few words. Without `readLine`, errors go to the terminal. Resolves to whether it succeeded.
 * If the set-up is told to end, it ends the program with all that it started, and throws SetupError.
 */
export async function succeeds(command, args, { env = {}, readLine } = {}) {
  const child = spawn(command, args, {
    cwd: TOP,
    stdio: readLine ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...env },
    // A process group of its own, which can be ended as a whole.
    detached: true,
  })
  const ticker = startTicker()
  for (const output of [child.stdout, child.stderr]) {
    if (output) createInterface(output).on('line', line => ticker.show(readLine(line)))
  }
  const stopWatching = whenToldToEnd(() => endGroup(child))
  let isTold = false
  const status = await ended(child).finally(() => {
    ticker.stop()
    isTold = stopWatching()
  })
  if (isTold) throw new SetupError('interrupted')
  return status === 0
}

export function say(text) {
  // Standard output is for `npm pack`, which writes the name of its archive there.
  console.error(`setup: ${text}`)
}

function ended(child) {
  return new Promise((resolve, reject) => {
    child.once('error', error => (error.code === 'ENOENT' ? resolve(1) : reject(error)))
    child.once('close', status => resolve(status))
  })
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']
const PARENT = process.ppid
const PARENT_CHECK_MS = 500
const KILL_AFTER_MS = 3000

/**
 * Calls `end` on a signal, or when the shell ends in which npm started this. npm passes signals on to that shell only.
 * Returns a function that stops watching and tells whether this has happened.
 */
function whenToldToEnd(end) {
  let isTold = false
  const tell = () => {
    isTold = true
    end()
  }
  const timer = setInterval(() => {
    if (process.ppid !== PARENT && !isTold) tell()
  }, PARENT_CHECK_MS)
  for (const signal of SIGNALS) process.on(signal, tell)
  return () => {
    clearInterval(timer)
    for (const signal of SIGNALS) process.off(signal, tell)
    return isTold
  }
}

function endGroup({ pid }) {
  if (pid === undefined) return
  signalGroup(pid, 'SIGTERM')
  setTimeout(() => signalGroup(pid, 'SIGKILL'), KILL_AFTER_MS).unref()
}

function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}
