import { stat } from 'node:fs/promises'
import * as v from 'valibot'
import { isOlder } from '../../../lib/text/versions.ts'
import type { Config } from '../../config/config.ts'
import { daemonSocket } from '../../nix/store/daemon-connection.ts'
import type { BuildUser } from '../../nix/user/build-user.ts'
import { type Check, type Finding, failed, ok, skipped, warning } from '../probes/finding.ts'
import { probeSocket } from '../probes/probe-socket.ts'
import { isRoot } from '../probes/processes.ts'
import { judgeFlaws } from './nix-flaws.ts'
import { judgeIncludes } from './nix-includes.ts'
import { createNixOfShim, type NixCheckOptions, USE_FEATURES } from './nix-of-shim.ts'
import { judgeOptions } from './nix-options.ts'
import { judgeSandbox, type NixAnswer } from './sandbox.ts'

const OLDEST = '2.8'
const INSTALL = 'install Nix, or set nix.command and the PATH of the shim'

/** Nix as the shim will run it: its user, its version and features, its daemon. */
export function checkNix(config: Pick<Config, 'stateDir' | 'nix'>, options: NixCheckOptions): Check[] {
  const { user, run } = createNixOfShim(config, options)
  const { nix } = config
  // Several checks need these. All start together, with the same time limit.
  const askVersion = once(signal => run(['--version'], signal))
  const askStore = once(async signal =>
    (await daemonProblem(await user())) ? {} : readStore(await run([...STORE, '--json'], signal)),
  )
  const unlessNoUser = ({ name, look }: Check): Check => ({
    name,
    look: async signal =>
      (await user()).problem === undefined ? look(signal) : skipped(`the user ${nix.user} does not exist`),
  })
  const checks: Check[] = [
    {
      name: 'build user',
      async look() {
        const { uid, problem } = await user()
        if (problem !== undefined) return failed(problem, `useradd --system --user-group ${nix.user}, or set nix.user`)
        return ok(uid === undefined ? 'the user of the shim: nix.user is null' : `${nix.user}, uid ${uid}`)
      },
    },
    {
      name: 'nix',
      async look(signal) {
        const answer = await askVersion(signal)
        if ('problem' in answer) return failed(`nix cannot be run: ${answer.problem}`, INSTALL)
        const version = /(?:^| )(\d+\.\d+\S*)$/.exec(answer.stdout)?.[1] ?? answer.stdout
        if (isOlder(version, OLDEST)) return failed(`nix ${version} is too old`, `upgrade it to ${OLDEST} or newer`)
        return judgeFeatures(version, await run(FEATURES, signal))
      },
    },
    {
      name: 'nix flaws',
      async look(signal) {
        const answer = await askVersion(signal)
        if ('problem' in answer) return skipped('nix cannot be run')
        return judgeFlaws(answer.stdout, (await askStore(signal)).version)
      },
    },
    {
      name: 'nix options',
      async look(signal) {
        const trusted = (await isWithoutDaemon(await user())) || (await askStore(signal)).trusted
        return judgeOptions({ options: nix.options, user: nix.user, trusted })
      },
    },
    { name: 'nix settings', look: async () => judgeIncludes(await user(), nix.user) },
    {
      name: 'nix daemon',
      async look(signal) {
        const as = await user()
        const problem = await daemonProblem(as)
        return problem ?? judgeStore(await run(STORE, signal), nix.user) ?? (await judgeOwner(as, nix.user))
      },
    },
    {
      name: 'sandbox',
      async look(signal) {
        if (await daemonProblem(await user())) return skipped('there is no store to build in')
        const options = Object.entries(nix.options).flatMap(([name, value]) => ['--option', name, value])
        return judgeSandbox(args => run([...args, ...options, ...USE_FEATURES], signal))
      },
    },
  ]
  if (nix.user === null || isRoot())
    return checks.map(check => (WITHOUT_USER.includes(check.name) ? check : unlessNoUser(check)))
  return checks.map(({ name }) => ({ name, look: () => skipped(`only root can become ${nix.user}`) }))
}

function once<Answer>(ask: (signal: AbortSignal) => Promise<Answer>): (signal: AbortSignal) => Promise<Answer> {
  let answer: Promise<Answer> | undefined
  return signal => {
    answer ??= ask(signal)
    return answer
  }
}

/** Checks that work without the build user. */
const WITHOUT_USER = ['build user', 'nix']

const DATABASE = '/nix/var/nix/db'

/**
 * Runs before nix, because nix would create a missing store in the user's home. The owner of the store needs no daemon.
 */
async function daemonProblem(user: BuildUser): Promise<Finding | undefined> {
  const socket = daemonSocket(user.env)
  if (socket === undefined || (await isWithoutDaemon(user))) return undefined
  return probeSocket(socket, 'start the daemon: systemctl start nix-daemon.socket')
}

async function isWithoutDaemon(user: BuildUser): Promise<boolean> {
  return user.env.NIX_REMOTE !== 'daemon' && (await ownsStore(user))
}

async function ownsStore({ uid = process.getuid?.() }: BuildUser): Promise<boolean> {
  return (await stat(DATABASE).catch(() => undefined))?.uid === uid
}

/** Anything that builds as that user can change other builds' results and Nix's database. */
async function judgeOwner(user: BuildUser, name: string | null): Promise<Finding> {
  if (name === null || !(await ownsStore(user))) return ok('the store answers the build user')
  return warning(
    `there is no Nix daemon: the store belongs to ${name}, so everything that runs as that user can change it`,
    'install Nix in multi-user mode, with its daemon; until then layers are not linked',
  )
}

/** Opens no store, because nix would create a missing one in the build user's home. */
const FEATURES = ['eval', ...USE_FEATURES, '--store', 'dummy://', '--expr', 'builtins ? getFlake']
/** Newer versions call it `info`, and still accept this name. */
const STORE = ['store', 'ping', ...USE_FEATURES]

function judgeFeatures(version: string, answer: NixAnswer): Finding {
  if ('problem' in answer)
    return failed(`nix ${version} does not evaluate: ${answer.problem}`, 'run nix manually as the build user')
  if (answer.stdout === 'true') return ok(`nix ${version}, with flakes`)
  return failed(
    `nix ${version} does not support flakes`,
    'use a nix with the experimental features nix-command and flakes',
  )
}

const storeSchema = v.object({
  version: v.optional(v.string()),
  trusted: v.optional(
    v.union([
      v.boolean(),
      v.pipe(
        v.number(),
        v.transform(value => value !== 0),
      ),
    ]),
  ),
})

/** Nix 2.14 and newer report their daemon's version. */
function readStore(answer: NixAnswer): v.InferOutput<typeof storeSchema> {
  try {
    return 'problem' in answer ? {} : v.parse(storeSchema, JSON.parse(answer.stdout))
  } catch {
    return {}
  }
}

function judgeStore(answer: NixAnswer, user: string | null): Finding | undefined {
  if (!('problem' in answer)) return undefined
  const name = user ?? 'root'
  const wayOut = `start it (systemctl start nix-daemon.socket), add ${name} to allowed-users in nix.conf, and for Debian's package to its group: usermod -g nix-users ${name}`
  return failed(`the store does not answer: ${answer.problem}`, wayOut)
}
