import { Command, Option } from 'commander'
import { NIXBUILD_LIMITS } from '../kube/resources/nixbuild.ts'
import { runCommandLine } from '../lib/run-command-line.ts'
import { terminationSignal } from '../lib/termination-signal.ts'
import { version } from '../lib/version.ts'
import {
  addToleration,
  readAge,
  readBoolean,
  readCount,
  readDuration,
  readListenAddress,
  readSelector,
} from './flags.ts'

export function run(): Promise<void> {
  return runCommandLine(program)
}

/** The command line. Its reference page is generated from this. */
export const program = new Command('enbi-controller')
  .description(
    "Keeps NixBuilds in step with Pods and nodes. For each annotated Pod the controller creates the NixBuild before the kubelet asks for the image, and maintains the Pod's condition enbi.hrzn.ee/ImageBuilt. It assigns NixBuilds made by hand to nodes, moves builds away from lost nodes, cancels the pulls of deleted Pods, and removes old finished NixBuilds. Several replicas may run; one is active.",
  )
  .version(version())
  .showHelpAfterError('(run with --help to list all options)')
  .exitOverride()
  .option('--kubeconfig <file>', 'kubeconfig file (default: the ServiceAccount of the pod that the controller runs in)')
  .addOption(
    new Option('--node-repel <selector>', 'label selector of nodes to which the controller never gives a build')
      .argParser(readSelector)
      .default(() => false, 'none'),
  )
  .addOption(
    new Option(
      '--tolerate <key[=value][:effect]>',
      'taint of nodes to which the controller may still give builds; can be repeated',
    )
      .argParser(addToleration)
      .default([], 'none'),
  )
  .addOption(
    new Option('--keep-finished <count>', 'finished NixBuilds to keep in each namespace, besides those of living pods')
      .argParser(readCount(0, 1_000_000))
      .default(20),
  )
  .addOption(
    new Option('--keep-finished-for <age>', 'how long to keep finished NixBuilds')
      .argParser(readAge)
      .default(readAge('168h'), '168h'),
  )
  .addOption(duration('--unwanted-grace <time>', 'how long a build continues when no living pod waits for it', '30s'))
  .addOption(
    duration('--lost-grace <time>', 'how long a node must be lost before its builds move to another node', '10s'),
  )
  .addOption(
    duration(
      '--builder-grace <time>',
      'how long a NixBuild for pods waits when none of their nodes can build it, before another node gets it',
      '30s',
    ),
  )
  .addOption(
    new Option('--max-tries <count>', 'how many nodes may lose a NixBuild made by hand before it fails')
      .argParser(readCount(1, NIXBUILD_LIMITS.attempts))
      .default(3),
  )
  .addOption(
    new Option('--max-assigned <count>', 'NixBuilds of each namespace that are assigned to nodes at the same time')
      .argParser(readCount(1, 1_000))
      .default(100),
  )
  .addOption(
    new Option('--pod-conditions <boolean>', "whether to maintain the Pods' condition enbi.hrzn.ee/ImageBuilt")
      .argParser(readBoolean)
      .default(true),
  )
  .addOption(
    new Option('--listen <host:port>', 'address that serves /metrics, /healthz and /readyz')
      .argParser(readListenAddress)
      .default(readListenAddress('127.0.0.1:9470'), '127.0.0.1:9470'),
  )
  .addOption(
    new Option('--health-listen <host:port>', 'additional address that serves only /healthz and /readyz').argParser(
      readListenAddress,
    ),
  )
  .addOption(
    duration(
      '--leader-elect-lease <time>',
      'how long other replicas wait for an active one that does not renew its Lease',
      '15s',
    ),
  )
  .addOption(
    duration(
      '--leader-elect-renew <time>',
      'how long the active replica continues when it cannot renew its Lease',
      '10s',
    ),
  )
  .addOption(duration('--leader-elect-retry <time>', 'time between two attempts to get or renew the Lease', '2s'))
  .addOption(
    new Option(
      '--kube-api-qps <count>',
      'requests per second to the API server, without those about the Lease of the active replica',
    )
      .argParser(readCount(1, 10_000))
      .default(200),
  )
  .addOption(
    new Option('--kube-api-burst <count>', 'requests that may exceed --kube-api-qps after a pause')
      .argParser(readCount(1, 10_000))
      .default(400),
  )
  .addOption(
    new Option('--log-level <level>', 'least severe level to log')
      .choices(['trace', 'debug', 'info', 'warn', 'error'])
      .default('info'),
  )
  .addHelpText(
    'after',
    `
Examples:
  enbi-controller --kubeconfig ~/.kube/config
  enbi-controller --listen :9470 --node-repel 'node-role.kubernetes.io/control-plane' --keep-finished 50 --keep-finished-for 30d
  enbi-controller --tolerate dedicated=builds --tolerate example.com/spot:NoSchedule

Selectors have the syntax of kubectl: key=value, key!=value, key, !key, key in (a,b), key notin (a,b), joined by commas.
Exit codes: 0 stopped by a signal, 1 failed, 2 wrong usage or kubeconfig.`,
  )
  .action(async options => {
    if (options.leaderElectRenew >= options.leaderElectLease)
      program.error('error: --leader-elect-renew must be shorter than --leader-elect-lease')
    const { runController } = await import('./run.ts')
    await runController(options, terminationSignal())
  })

function duration(flags: string, description: string, value: string): Option {
  return new Option(flags, description).argParser(readDuration).default(readDuration(value), value)
}
