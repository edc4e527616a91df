import { Command, CommanderError, Option } from 'commander'
import { messageOf } from '../lib/errors.ts'
import { exitCodeOf } from '../lib/exit-codes.ts'
import { outliveReaders } from '../lib/outlive-readers.ts'
import { terminationSignal } from '../lib/termination-signal.ts'
import { version } from '../lib/version.ts'
import { STORE_DIR, STORE_PATH_HOST } from '../recipes/store-path.ts'
import { DEFAULT_CONFIG, DEFAULT_SOCKET } from './config/defaults.ts'

const program = new Command('enbi-shim')
  .description('Nix builds, on image pull: a per-node proxy between the kubelet and containerd.')
  .version(version())
  .showHelpAfterError('(--help shows what there is)')
  .addHelpText(
    'after',
    '\nExit codes: 0 done, 1 failed, 2 wrong usage or config, 3 the shim cannot be reached, 130 interrupted.',
  )
  .exitOverride()

program
  .command('serve')
  .description('serve the CRI image service on a socket, for the kubelet (imageServiceEndpoint)')
  .requiredOption('--config <file>', 'config file, YAML or JSON')
  .action(async options => {
    const { serve } = await import('./serve.ts')
    await serve(options.config, { env: process.env, signal: terminationSignal() })
  })

program
  .command('pull')
  .description('pull an image as a kubelet would, through a running shim, and show what goes on')
  .argument('<image>', 'image reference, as a pod would name it')
  .option(
    '--flake <url>',
    'flake URL: github:team/app?rev=…, git+https://…; without it the image has its recipe as in a pod without annotations',
  )
  .option('--package <name>', 'attribute path below packages.<system>')
  .option(
    '--contents <names>',
    'in place of --package: names of packages that together are the image, like "shell curl jq"',
  )
  .option('--system <system>', "Nix system, when it is not the node's own")
  .option('--namespace <namespace>', 'namespace to pull for: the policy is held against it', 'default')
  .option('--socket <path>', 'socket of the shim', DEFAULT_SOCKET)
  .addOption(new Option('--json', 'one JSON object a line'))
  .addHelpText(
    'after',
    '\nExamples:\n  enbi-shim pull registry.example/team/app:1.0 --flake github:team/app --package app --namespace team-a\n  enbi-shim pull registry.example/team/app:v1.2.0      # a name that the config has a rule for\n  enbi-shim pull nix:0/nix/store/HASH-NAME',
  )
  .action(async (image, options, command) => {
    const isStorePath = image.startsWith(`${STORE_PATH_HOST}/`)
    if (isStorePath && (options.flake ?? options.package ?? options.contents ?? options.system) !== undefined)
      command.error('error: a store path takes neither --flake nor --package nor --contents nor --system')
    if (image.startsWith(`${STORE_DIR}/`))
      command.error(`error: the image of a store path is named ${STORE_PATH_HOST}${image}`)
    if (options.package !== undefined && options.contents !== undefined)
      command.error('error: --package and --contents exclude each other')
    if ((options.flake === undefined) !== ((options.package ?? options.contents) === undefined))
      command.error('error: --flake goes with --package or --contents')
    if (options.flake === undefined && options.system !== undefined) command.error('error: --system needs --flake')
    const { pull } = await import('./commands/pull.ts')
    const { flake, package: packageName, contents, system, namespace, socket, json } = options
    await pull(
      { image, flakeUrl: flake, packageName, contents, system, namespace, socket },
      { json: json === true, output: process.stdout, signal: terminationSignal() },
    )
  })

program
  .command('status')
  .description('show what a running shim does and holds: builds and who waits for them, queue, results, images, disk')
  .option('--watch', 'go on showing it as it changes, until Ctrl-C')
  .addOption(new Option('--json', 'one JSON object; with --watch one a line'))
  .option('--socket <path>', 'socket of the shim', DEFAULT_SOCKET)
  .addHelpText('after', '\nExamples:\n  enbi-shim status --watch\n  enbi-shim status --json')
  .action(async ({ watch, json, socket }) => {
    const { status } = await import('./commands/status.ts')
    const signal = terminationSignal()
    await status({ socket, watch: watch === true }, { json: json === true, output: process.stdout, signal })
  })

program
  .command('doctor')
  .description('look at all that a pull needs on this node, and say what is wrong and the way out; changes nothing')
  .option('--config <file>', 'config file of the shim', DEFAULT_CONFIG)
  .option('--kubelet-config <file>', 'KubeletConfiguration, when it is not that of the running kubelet')
  .addOption(new Option('--json', 'one JSON object a line'))
  .addHelpText(
    'after',
    '\nExit codes: 0 nothing failed (there may be warnings), 1 something did.\n\nExamples:\n  enbi-shim doctor\n  enbi-shim doctor --json',
  )
  .action(async ({ config, kubeletConfig, json }) => {
    const { doctor } = await import('./commands/doctor.ts')
    const plan = { configFile: config, kubeletConfig, env: process.env }
    const isWell = await doctor(plan, { json: json === true, output: process.stdout })
    // What hangs on a dead file system, or on a program of the kubeconfig's, would keep it from ending.
    process.exit(isWell ? 0 : 1)
  })

program
  .command('name')
  .description('print the image name that stands for a flake, or the flake that an image name stands for')
  .argument('<flake-or-image>', 'FLAKE#PACKAGE, or an image reference')
  .option(
    '--config <file>',
    "config file with the name rules for an image's name; without it, names of flakes alone are read",
  )
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
  .description('check a config file and print it with its defaults')
  .argument('[file]', 'config file, YAML or JSON', DEFAULT_CONFIG)
  .action(async file => {
    const { checkConfig } = await import('./commands/check-config.ts')
    const { text, warning } = await checkConfig(file)
    process.stdout.write(text)
    if (warning !== undefined) process.stderr.write(`enbi-shim: warning: ${warning}\n`)
  })

outliveReaders()
try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) process.stderr.write(`enbi-shim: ${messageOf(error)}\n`)
  process.exitCode = exitCodeOf(error)
}
