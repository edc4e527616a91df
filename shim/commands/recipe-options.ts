import { type Command, Option } from 'commander'
import { parseDuration } from '../../lib/text/units.ts'
import { STORE_DIR, STORE_PATH_HOST } from '../../recipes/store-path.ts'
import type { NodesArguments } from './pull-on-nodes.ts'

/** The recipe in the options of `enbi-shim pull` and `kubectl nixbuild prepull`, which have the same names. */
export interface RecipeOptions {
  readonly flake?: string
  readonly package?: string
  readonly contents?: string
  readonly system?: string
}

export interface NodesOptions extends RecipeOptions {
  readonly flake: string
  readonly nodes: string
  readonly namespace?: string
  readonly context?: string
  readonly kubeconfig?: string
  readonly timeout: string
}

/** Those that mean the same in every command. */
export function recipeOptions() {
  return {
    package: new Option('--package <name>', 'package of the flake: attribute path below packages.<system>'),
    contents: new Option(
      '--contents <names>',
      'packages that make up the image, such as "shell curl jq"; replaces --package',
    ),
  }
}

/** Ends the command with an error if the options contradict each other. */
export function checkRecipeOptions(image: string, options: RecipeOptions, command: Command): void {
  const { flake, package: packageName, contents, system } = options
  const isStorePath = image.startsWith(`${STORE_PATH_HOST}/`)
  if (isStorePath && (flake ?? packageName ?? contents ?? system) !== undefined)
    command.error('error: a store path takes neither --flake nor --package nor --contents nor --system')
  if (image.startsWith(`${STORE_DIR}/`))
    command.error(`error: the image of a store path is named ${STORE_PATH_HOST}${image}`)
  if (packageName !== undefined && contents !== undefined)
    command.error('error: --package and --contents exclude each other')
  if ((flake === undefined) !== ((packageName ?? contents) === undefined))
    command.error('error: --flake goes with --package or --contents')
  if (flake === undefined && system !== undefined) command.error('error: --system needs --flake')
}

/** Ends the command with an error if the timeout is not a duration. */
export function readNodesOptions(image: string, options: NodesOptions, command: Command): NodesArguments {
  const { flake: flakeUrl, package: packageName, contents, system, nodes, namespace, context, kubeconfig } = options
  const timeoutMs = parseDuration(options.timeout)
  if (timeoutMs === undefined) return command.error('error: --timeout is a duration such as 30m')
  return { image, flakeUrl, packageName, contents, system, nodes, namespace, context, kubeconfig, timeoutMs }
}
