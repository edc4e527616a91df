import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as v from 'valibot'
import { stringify } from 'yaml'
import { connectCri } from './cri.ts'
import { createDaemon, type Daemon } from './daemon.ts'
import type { Namespace } from './namespace.ts'
import { SHIM_MAIN } from './own-programs.ts'
import type { User } from './user.ts'

/** A running `enbi-shim serve`. */
export interface Shim {
  readonly daemon: Daemon
  readonly socket: string
  readonly stateDir: string
  readonly configPath: string
}

export interface ShimOptions {
  /** Overrides top-level keys of the bed's config. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly env?: NodeJS.ProcessEnv
  /** Arguments for Node, before the program. */
  readonly nodeArgs?: readonly string[]
  /** With false, `startShim` does not wait until the shim answers. */
  readonly wait?: boolean
  /** The program to run with `serve --config F`, by default that of own-programs.ts. */
  readonly program?: string
  /** Replaces Node and the program. */
  readonly command?: readonly string[]
}

const nixSection = v.optional(v.record(v.string(), v.unknown()), {})

interface Surroundings {
  readonly namespace: Namespace
  readonly name: string
  readonly containerdSocket: string
  readonly env: NodeJS.ProcessEnv
  readonly buildUser: User
}

export async function startShim(around: Surroundings, options: ShimOptions = {}): Promise<Shim> {
  const dir = join(around.namespace.dir, around.name)
  await mkdir(dir)
  const configPath = join(dir, 'config.yaml')
  const { nix, stateDir = join(dir, 'state'), ...rest } = options.config ?? {}
  const config = {
    listen: join(dir, 'shim.sock'),
    containerd: { address: around.containerdSocket },
    stateDir: String(stateDir),
    // Several shims run on the machine of the tests.
    logDir: `${stateDir}/logs`,
    // What is free on the disk of the machine must not matter to tests.
    nix: { user: around.buildUser.name, collectGarbage: { when: 'never' }, ...v.parse(nixSection, nix) },
    policy: [{ namespaces: ['*'], images: ['**'], flakes: ['**', 'path:/**', 'git+file:/**', 'tarball+file:/**'] }],
    ...rest,
  }
  await writeFile(configPath, stringify(config))
  const daemon = createDaemon({
    name: 'enbi-shim',
    namespace: around.namespace,
    command: [...(options.command ?? nodeCommand(options)), 'serve', '--config', configPath],
    env: { ...around.env, ...options.env },
    logPath: join(dir, 'log'),
    ready: signal => waitForAnswer(config.listen, signal),
  })
  await daemon.start({ wait: options.wait ?? true })
  return { daemon, socket: config.listen, stateDir: config.stateDir, configPath }
}

function nodeCommand({ nodeArgs = [], program = SHIM_MAIN }: ShimOptions): string[] {
  return [process.execPath, ...nodeArgs, program]
}

const POLL_MS = 10

async function waitForAnswer(socket: string, signal: AbortSignal): Promise<void> {
  using cri = connectCri(socket)
  const answers = () =>
    cri.imageFsInfo({ signal }).then(
      () => true,
      () => false,
    )
  while (!(await answers())) await delay(POLL_MS, undefined, { signal })
}
