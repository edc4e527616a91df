import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { kubernetesProgram } from '../node/programs.ts'
import { PATIENCE_MS } from '../patience.ts'

export interface KubectlOptions {
  readonly input?: string
  /** By default the administrator's. */
  readonly kubeconfig?: string
  /** A folder with plugins, programs named `kubectl-…`. */
  readonly plugins?: string
}

/** Longer than the timeouts that tests give to kubectl. */
const LIMIT_MS = PATIENCE_MS + 10_000

/** Runs the real kubectl and returns its stdout. Rejects with execa's error, which contains stderr, if it fails. */
export async function runKubectl(
  { dir, kubeconfig }: { dir: string; kubeconfig: string },
  args: readonly string[],
  { input, ...options }: KubectlOptions = {},
): Promise<string> {
  const { stdout } = await execa(kubernetesProgram('kubectl'), args, {
    env: {
      PATH: [
        ...(options.plugins === undefined ? [] : [options.plugins, dirname(process.execPath)]),
        process.env.PATH,
      ].join(':'),
      HOME: dir,
      KUBECONFIG: options.kubeconfig ?? kubeconfig,
      KUBECACHEDIR: join(dir, 'kubectl-cache'),
    },
    extendEnv: false,
    timeout: LIMIT_MS,
    ...(input === undefined ? { stdin: 'ignore' } : { input }),
  })
  return stdout
}
