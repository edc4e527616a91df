import { Command, Option } from 'commander'
import { runCommandLine } from '../../lib/run-command-line.ts'
import { terminationSignal } from '../../lib/termination-signal.ts'
import { parseDuration } from '../../lib/text/units.ts'
import { version } from '../../lib/version.ts'
import { checkRecipeOptions, readNodesOptions, recipeOptions } from '../commands/recipe-options.ts'

/** Runs the subcommand that the arguments name. */
export function run(): Promise<void> {
  return runCommandLine(program)
}

/**
 * The plugin of kubectl, which runs `kubectl-nixbuild` for `kubectl nixbuild`. It is one file that talks to the API
 * server only, so that it runs where there is no shim. The reference page of the command line is made from it.
 */
export const program = new Command('kubectl nixbuild')
  .description('Works with NixBuilds from anywhere, through the API server.')
  .version(version())
  .showHelpAfterError('(run with --help to list subcommands and options)')
  .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage, kubeconfig or recipe, 130 interrupted.')
  .exitOverride()

const recipe = recipeOptions()
const where = () => ({
  namespace: new Option('-n, --namespace <namespace>', "namespace (default: that of the kubeconfig's context)"),
  context: new Option('--context <name>', 'context of the kubeconfig (default: its current context)'),
  kubeconfig: new Option(
    '--kubeconfig <file>',
    'kubeconfig of the API server (default: the files of $KUBECONFIG, or ~/.kube/config)',
  ),
})

program
  .command('get')
  .description('list NixBuilds with their nodes and progress')
  .argument('[name]', 'NixBuild, or pod/NAME for those of its images (default: all of the namespace)')
  .addOption(where().namespace)
  .option('-A, --all-namespaces', 'those of all namespaces')
  .addOption(where().context)
  .addOption(where().kubeconfig)
  .addOption(new Option('-o, --output <format>', 'print the objects as kubectl get does').choices(['json', 'yaml']))
  .addOption(new Option('--json', 'print one NixBuild per line as JSON').conflicts('output'))
  .action(async (target, { namespace, context, kubeconfig, allNamespaces = false, output, json }, command) => {
    if (target !== undefined && allNamespaces)
      return command.error('error: a NAME is one of a single namespace: give --namespace in place of --all-namespaces')
    const { getBuilds } = await import('./get.ts')
    const format = json ? 'lines' : (output ?? 'table')
    const io = { format, output: process.stdout, notes: process.stderr, signal: terminationSignal() }
    await getBuilds({ target, namespace, context, kubeconfig, allNamespaces }, io)
  })

program
  .command('wait')
  .description('show the progress of a build until it ends')
  .argument('<name>', 'NixBuild, or pod/NAME for all of its images')
  .addOption(where().namespace)
  .addOption(where().context)
  .addOption(where().kubeconfig)
  .option('--timeout <duration>', 'how long to wait; the nodes continue after it', '1h')
  .addOption(new Option('--json', 'print one JSON object per line'))
  .action(async (target, { namespace, context, kubeconfig, timeout, json = false }, command) => {
    const timeoutMs = parseDuration(timeout)
    if (timeoutMs === undefined) return command.error('error: --timeout is a duration such as 30m')
    const { waitForBuilds } = await import('./wait.ts')
    const io = { json, output: process.stdout, notes: process.stderr, signal: terminationSignal() }
    await waitForBuilds({ target, namespace, context, kubeconfig, timeoutMs }, io)
  })

program
  .command('logs')
  .description('show the log of a build: the whole one if you may read logs of its node, else its last lines')
  .argument('<name>', 'NixBuild, or pod/NAME for those of its images')
  .option('-f, --follow', 'show the log as it grows, from whichever node builds, until the build ends')
  .addOption(where().namespace)
  .addOption(where().context)
  .addOption(where().kubeconfig)
  .action(async (target, { namespace, context, kubeconfig, follow = false }) => {
    const { showLogs } = await import('./logs.ts')
    const io = { output: process.stdout, notes: process.stderr, signal: terminationSignal() }
    await showLogs({ target, namespace, context, kubeconfig, follow }, io)
  })

program
  .command('why')
  .description('say what a pod waits for, and the way out')
  .argument('<pod>', 'pod/NAME')
  .addOption(where().namespace)
  .addOption(where().context)
  .addOption(where().kubeconfig)
  .action(async (target, { namespace, context, kubeconfig }) => {
    const { why } = await import('./why.ts')
    process.stdout.write(`${await why({ target, namespace, context, kubeconfig }, terminationSignal())}\n`)
  })

program
  .command('prepull')
  .description('make an image on nodes of the cluster before any pod asks for it, and show the progress')
  .argument('<image>', 'image reference, as a pod names it')
  .requiredOption('--flake <url>', 'flake URL, such as github:team/app or git+https://…')
  .addOption(recipe.package)
  .addOption(recipe.contents)
  .option('--system <system>', 'Nix system of the image (default: Linux on the processor of this host)')
  .option(
    '-n, --namespace <namespace>',
    "namespace of the NixBuild, which the policy is matched against (default: that of the kubeconfig's context)",
  )
  .requiredOption('--nodes <selector>', 'nodes with these labels, such as "pool=web,!spot", or all')
  .addOption(where().context)
  .addOption(where().kubeconfig)
  .option('--timeout <duration>', 'how long to wait for the nodes, which continue after it', '1h')
  .addOption(new Option('--json', 'print one JSON object per line'))
  .addHelpText(
    'after',
    '\nExamples:\n  kubectl nixbuild prepull registry.example/team/app:1.0 --flake github:team/app --package app --nodes pool=web\n  kubectl nixbuild prepull registry.example/team/app:1.0 --flake github:team/app --package app --nodes all -n team-a',
  )
  .action(async (image, options, command) => {
    checkRecipeOptions(image, options, command)
    const args = readNodesOptions(image, options, command)
    const { pullOnNodes } = await import('../commands/pull-on-nodes.ts')
    await pullOnNodes(args, { json: options.json === true, output: process.stdout, signal: terminationSignal() })
  })
