import { Command, CommanderError, Option } from 'commander'
import { messageOf } from '../lib/errors.ts'
import { exitCodeOf } from '../lib/exit-codes.ts'
import { outliveReaders } from '../lib/outlive-readers.ts'
import { terminationSignal } from '../lib/termination-signal.ts'
import { version } from '../lib/version.ts'
import { readAge, readCount, readDuration, readListenAddress, readSelector } from './flags.ts'
import { MAX_ATTEMPTS } from './reconcile/plan-build.ts'

const program = new Command('enbi-controller')
  .description(
    "The cluster's bookkeeper for images that Nix builds on the nodes. For each annotated Pod it makes the NixBuild before the node's kubelet asks for the image, and keeps the Pod's condition enbi.hrzn.ee/ImageBuilt up to date; it gives NixBuilds that were made by hand to nodes, moves builds away from nodes that are lost, and removes what is finished and old. Any number may run: one is active.",
  )
  .version(version())
  .showHelpAfterError('(--help shows what there is)')
  .exitOverride()
  .option('--kubeconfig <file>', 'kubeconfig file; without it the API server of the cluster that this pod is in')
  .addOption(
    new Option('--node-repel <selector>', 'nodes that NixBuilds made by hand are never given to, by their labels')
      .argParser(readSelector)
      .default(() => false, 'none'),
  )
  .addOption(
    new Option(
      '--keep-finished <count>',
      'finished NixBuilds that are kept in each namespace, beyond those of living pods',
    )
      .argParser(readCount(0, 1_000_000))
      .default(20),
  )
  .addOption(
    new Option('--keep-finished-for <age>', 'how long they are kept')
      .argParser(readAge)
      .default(readAge('168h'), '168h'),
  )
  .addOption(duration('--unwanted-grace <time>', 'how long a build goes on that no living pod waits for', '30s'))
  .addOption(duration('--lost-grace <time>', 'how long a node is lost before its builds go to another', '10s'))
  .addOption(
    new Option('--max-tries <count>', 'nodes that may lose a NixBuild made by hand before it is given up')
      .argParser(readCount(1, MAX_ATTEMPTS))
      .default(3),
  )
  .addOption(
    new Option('--listen <host:port>', 'where /metrics, /healthz and /readyz are served')
      .argParser(readListenAddress)
      .default(readListenAddress('127.0.0.1:9470'), '127.0.0.1:9470'),
  )
  .addOption(
    new Option('--health-listen <host:port>', 'where /healthz and /readyz are also served, without /metrics').argParser(
      readListenAddress,
    ),
  )
  .addOption(duration('--leader-elect-lease <time>', 'how long others wait for an active one that is silent', '15s'))
  .addOption(duration('--leader-elect-renew <time>', 'how long the active one goes on when it cannot renew', '10s'))
  .addOption(duration('--leader-elect-retry <time>', 'time between two tries to become or to stay active', '2s'))
  .addOption(
    new Option('--log-level <level>', 'what is logged')
      .choices(['trace', 'debug', 'info', 'warn', 'error'])
      .default('info'),
  )
  .addHelpText(
    'after',
    `
Examples:
  enbi-controller --kubeconfig ~/.kube/config
  enbi-controller --listen :9470 --node-repel 'node-role.kubernetes.io/control-plane' --keep-finished 50 --keep-finished-for 30d

Selectors are kubectl's: key=value, key!=value, key, !key, key in (a,b), key notin (a,b), joined by commas.
Exit codes: 0 stopped by a signal, 1 failed, 2 wrong usage or kubeconfig.`,
  )
  .action(async options => {
    if (options.leaderElectRenew >= options.leaderElectLease)
      program.error('error: --leader-elect-renew must be shorter than --leader-elect-lease')
    const { runController } = await import('./run.ts')
    await runController(options, terminationSignal())
  })

outliveReaders()
try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) process.stderr.write(`enbi-controller: ${messageOf(error)}\n`)
  process.exitCode = exitCodeOf(error)
}

function duration(flags: string, description: string, value: string): Option {
  return new Option(flags, description).argParser(readDuration).default(readDuration(value), value)
}
