import { Command, Option } from 'commander'
import { runCommandLine } from '../lib/run-command-line.ts'
import { terminationSignal } from '../lib/termination-signal.ts'
import { version } from '../lib/version.ts'
import { checkRecipeOptions, readNodesOptions, recipeOptions } from './commands/recipe-options.ts'
import { DEFAULT_CONFIG, DEFAULT_SOCKET } from './config/defaults.ts'

/** Runs the command that the arguments name. */
export function run(): Promise<void> {
  return runCommandLine(program)
}

/** Every command and option. The reference page of the command line is made from it. */
export const program = new Command('enbi-shim')
  .description('Builds images with Nix when the kubelet pulls them: a proxy between the kubelet and containerd.')
  .version(version())
  .showHelpAfterError('(run with --help to list commands and options)')
  .addHelpText(
    'after',
    '\nExit codes: 0 done, 1 failed, 2 wrong usage, config or recipe, 3 shim not reachable, 130 interrupted.',
  )
  .exitOverride()

program
  .command('serve')
  .description('serve the CRI image service for the kubelet')
  .requiredOption('--config <file>', 'config file, YAML or JSON')
  .action(async options => {
    const { serve } = await import('./serve.ts')
    await serve(options.config, { env: process.env, signal: terminationSignal() })
  })

const recipe = recipeOptions()

program
  .command('pull')
  .description('pull an image through a running shim, as a kubelet does, and show the progress')
  .argument('<image>', 'image reference, as a pod names it')
  .option(
    '--flake <url>',
    'flake URL, such as github:team/app or git+https://…; without it, the recipe comes from the image name or a NixBuild',
  )
  .addOption(recipe.package)
  .addOption(recipe.contents)
  .option('--system <system>', 'Nix system of the image (default: the system of the node)')
  .option('-n, --namespace <namespace>', 'namespace to pull for, which the policy is matched against', 'default')
  .option(
    '--nodes <selector>',
    'make the image on the nodes of the cluster with these labels, such as "pool=web,!spot", or on all, by a NixBuild instead of a shim',
  )
  .option('--kubeconfig <file>', 'with --nodes: kubeconfig of the API server (default: $KUBECONFIG or ~/.kube/config)')
  .option('--timeout <duration>', 'with --nodes: how long to wait for the nodes, which continue after it', '1h')
  .option('--socket <path>', 'socket of the shim', DEFAULT_SOCKET)
  .addOption(new Option('--json', 'print one JSON object per line'))
  .addHelpText(
    'after',
    '\nExamples:\n  enbi-shim pull registry.example/team/app:1.0 --flake github:team/app --package app --namespace team-a\n  enbi-shim pull registry.example/team/app:v1.2.0      # a name that matches a rule of the config\n  enbi-shim pull nix:0/nix/store/HASH-NAME\n  enbi-shim pull registry.example/team/app:1.0 --flake github:team/app --package app --nodes pool=web',
  )
  .action(async (image, options, command) => {
    checkRecipeOptions(image, options, command)
    if (options.nodes !== undefined && options.flake === undefined) command.error('error: --nodes needs --flake')
    const { flake, package: packageName, contents, system, namespace, socket, json } = options
    const io = { json: json === true, output: process.stdout, signal: terminationSignal() }
    if (options.nodes !== undefined) {
      const args = readNodesOptions(image, options, command)
      const { pullOnNodes } = await import('./commands/pull-on-nodes.ts')
      return pullOnNodes(args, io)
    }
    const { pull } = await import('./commands/pull.ts')
    await pull({ image, flakeUrl: flake, packageName, contents, system, namespace, socket }, io)
  })

program
  .command('status')
  .description('show running builds, the pods that wait for them, queue, results, images and disk use')
  .option('--watch', 'keep the display up to date until Ctrl-C')
  .addOption(new Option('--json', 'print one JSON object; with --watch, one per line'))
  .option('--socket <path>', 'socket of the shim', DEFAULT_SOCKET)
  .addHelpText('after', '\nExamples:\n  enbi-shim status --watch\n  enbi-shim status --json')
  .action(async ({ watch, json, socket }) => {
    const { status } = await import('./commands/status.ts')
    const signal = terminationSignal()
    await status({ socket, watch: watch === true }, { json: json === true, output: process.stdout, signal })
  })

program
  .command('doctor')
  .description('check everything that a pull needs on this node, and say how to fix what is wrong')
  .option('--config <file>', 'config file of the shim', DEFAULT_CONFIG)
  .option('--kubelet-config <file>', 'KubeletConfiguration file (default: the files of the running kubelet)')
  .addOption(new Option('--json', 'print one JSON object per line'))
  .addHelpText(
    'after',
    '\nExit codes: 0 no check failed (warnings are possible), 1 a check failed, 2 wrong usage.\n\nExamples:\n  enbi-shim doctor\n  enbi-shim doctor --json',
  )
  .action(async ({ config, kubeletConfig, json }) => {
    const { doctor } = await import('./commands/doctor.ts')
    const plan = { configFile: config, kubeletConfig, env: process.env }
    const isWell = await doctor(plan, { json: json === true, output: process.stdout })
    // A check that hangs on a dead file system or on a credential program would keep the process alive.
    process.exit(isWell ? 0 : 1)
  })

program
  .command('keys')
  .description("print the keys that the cluster's nodes sign builds with, for trusted-public-keys")
  .option('--config <file>', 'config file of the shim, which names the kubeconfig', DEFAULT_CONFIG)
  .option('--kubeconfig <file>', 'kubeconfig file to use instead')
  .addOption(new Option('--nix', 'print a list of Nix, for services.enbi-shim.share.trustedKeys').conflicts('json'))
  .addOption(new Option('--json', 'print one JSON object per node and line'))
  .addHelpText(
    'after',
    '\nA node whose key is missing, malformed or named like the key of another node is left out, with a warning.\nNothing is trusted until you add a key to the nodes: compare it with the file on its node first.\n\nExamples:\n  enbi-shim keys --nix\n  enbi-shim keys --kubeconfig ~/.kube/config',
  )
  .action(async ({ config, kubeconfig, nix, json }) => {
    const { keys } = await import('./commands/keys.ts')
    const format = json ? 'json' : nix ? 'nix' : 'conf'
    const { text, warnings } = await keys({ kubeconfig, configFile: config, format }, terminationSignal())
    process.stdout.write(text)
    for (const warning of warnings) process.stderr.write(`enbi-shim: warning: ${warning}\n`)
  })

program
  .command('name')
  .description('convert between a flake and the image name that stands for it')
  .argument('<flake-or-image>', 'FLAKE#PACKAGE, or an image reference')
  .option('--config <file>', 'config file with name rules; without it, only names of flakes are read')
  .addHelpText(
    'after',
    "\nExamples:\n  enbi-shim name 'github:team/app?ref=v1#web'\n  enbi-shim name flake-github:0/team/app--x23--web:v1\n  enbi-shim name --config /etc/enbi-shim/config.yaml registry.example/team/app:v1",
  )
  .action(async (text, { config }) => {
    const { name } = await import('./commands/name.ts')
    process.stdout.write(`${await name(text, config)}\n`)
  })

program
  .command('check-config')
  .description('check a config file and print it with all defaults')
  .argument('[file]', 'config file, YAML or JSON', DEFAULT_CONFIG)
  .action(async file => {
    const { checkConfig } = await import('./commands/check-config.ts')
    const { text, warning } = await checkConfig(file)
    process.stdout.write(text)
    if (warning !== undefined) process.stderr.write(`enbi-shim: warning: ${warning}\n`)
  })
