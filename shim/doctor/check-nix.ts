import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { type BuildUser, resolveBuildUser } from '../build/build-user.ts'
import { daemonSocket } from '../build/daemon-path-info.ts'
import { layOut } from '../build/state-dir.ts'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import { lazy } from '../lazy.ts'
import { type Check, type Finding, failed, ok } from './finding.ts'
import { isOlder } from './versions.ts'

const OLDEST = '2.8'
const INSTALL = 'install Nix, or set nix.command and the PATH of the shim'

/** Nix as the shim will run it: its user, its version and features, its daemon. */
export function checkNix({ stateDir, nix }: Pick<Config, 'stateDir' | 'nix'>, env: NodeJS.ProcessEnv): Check[] {
  const { home, config } = layOut(stateDir)
  const user = lazy(() => resolveBuildUser({ name: nix.user, home, configHome: config, env }))
  const run = async (args: readonly string[], signal: AbortSignal) => runNix(nix.command, args, await user(), signal)
  return [
    {
      name: 'build user',
      async look() {
        const { uid } = await user()
        if (uid !== undefined) return ok(`${nix.user}, uid ${uid}`)
        return ok(
          nix.user === null
            ? 'nobody else: nix.user is null'
            : 'whoever runs the shim, as only root can become another',
        )
      },
    },
    {
      name: 'nix',
      async look(signal) {
        const answer = await run(['--version'], signal)
        if ('problem' in answer) return failed(`nix cannot be run: ${answer.problem}`, INSTALL)
        const version = /(\d+\.\d+\S*)$/.exec(answer.stdout)?.[1] ?? answer.stdout
        if (isOlder(version, OLDEST)) return failed(`nix ${version} is too old`, `upgrade it to ${OLDEST} or newer`)
        return judgeFeatures(version, await run(FEATURES, signal))
      },
    },
    {
      name: 'nix daemon',
      async look(signal) {
        const socket = daemonSocket((await user()).env)
        if (socket !== undefined && !existsSync(socket))
          return failed(`there is no ${socket}`, 'start the daemon: systemctl start nix-daemon.socket')
        return judgeStore(await run(STORE, signal), nix.user)
      },
    },
  ]
}

/** As the shim does, whatever nix.conf says. */
const USE_FEATURES = ['--extra-experimental-features', 'nix-command flakes']
/** No store is opened for it: where none is to be had, nix would make one in the build user's home. */
const FEATURES = ['eval', ...USE_FEATURES, '--store', 'dummy://', '--expr', 'builtins ? getFlake']
/** Newer ones call it `info`, and know this name, too. */
const STORE = ['store', 'ping', ...USE_FEATURES]

/** What was written, or why it failed. */
type Answer = { readonly stdout: string } | { readonly problem: string }

async function runNix(command: string, args: readonly string[], user: BuildUser, signal: AbortSignal): Promise<Answer> {
  const { uid, gid, env } = user
  const as = uid === undefined || gid === undefined ? {} : { uid, gid }
  try {
    const { stdout } = await promisify(execFile)(command, [...args], { ...as, env, cwd: '/', signal })
    return { stdout: stdout.trim() }
  } catch (error) {
    return { problem: lastLine(error) }
  }
}

/** Nix says what is wrong in its last lines. */
function lastLine(error: unknown): string {
  const text = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
  return text.trim().split('\n').at(-1)?.trim() || messageOf(error)
}

function judgeFeatures(version: string, answer: Answer): Finding {
  if ('problem' in answer)
    return failed(`nix ${version} does not evaluate: ${answer.problem}`, 'run nix as the build user by hand')
  if (answer.stdout === 'true') return ok(`nix ${version}, with flakes`)
  return failed(`nix ${version} knows no flakes`, 'use one with the experimental features nix-command and flakes')
}

function judgeStore(answer: Answer, user: string | null): Finding {
  if (!('problem' in answer)) return ok('the store answers the build user')
  const wayOut = `start it (systemctl start nix-daemon.socket), and have ${user ?? 'root'} in allowed-users of nix.conf`
  return failed(`the store does not answer: ${answer.problem}`, wayOut)
}
