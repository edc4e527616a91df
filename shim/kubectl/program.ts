import { Command, Option } from 'commander'
import { runCommandLine } from '../../lib/run-command-line.ts'
import { terminationSignal } from '../../lib/termination-signal.ts'
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
  .option('--kubeconfig <file>', 'kubeconfig of the API server (default: $KUBECONFIG or ~/.kube/config)')
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
