import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { startTicker } from './ticker.mjs'

/** The project's top folder, without a slash at its end. */
export const TOP = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** A failure whose message is all that the user needs. */
export class SetupError extends Error {}

/**
 * Runs a program in the project's top folder and shows how long it has been at it, every few seconds. `readLine` gets each line that
 * it writes, and tells how far that is in a few words; without it its errors go to the terminal. Resolves to whether it succeeded.
 * Throws SetupError when the set-up is told to end: then the program, with all that it has started, is ended first.
 */
export async function succeeds(command, args, { env = {}, readLine } = {}) {
  const child = spawn(command, args, {
    cwd: TOP,
    stdio: readLine ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...env },
    // A group of its own: who starts more is ended with them.
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
  // The output of `npm pack` is the name of what it has packed.
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
 * A signal, or the end of the shell that npm has started this by: npm passes signals on to that alone.
 * Returns how to stop watching, which tells whether it has happened.
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
