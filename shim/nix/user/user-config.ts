import { join } from 'node:path'
import { createOneByOne } from '../../../lib/async/one-by-one.ts'
import { writeAtomically } from '../../../lib/files/atomic-file.ts'
import { isThere } from '../../../lib/files/is-there.ts'
import { isFlakeRecipe, type Recipe } from '../../../recipes/recipe.ts'

/** Settings of git and ssh, written by root. The programs read no others. */
export interface UserConfig {
  /** Updates the settings for a run of the recipe. */
  prepare(recipe: Recipe): Promise<void>
}

/** The only file that git reads, set as GIT_CONFIG_GLOBAL. */
export function gitConfigFile(configHome: string): string {
  return join(configHome, 'gitconfig')
}

/** The only file that ssh reads, set by `ssh -F`. */
export function sshConfigFile(configHome: string): string {
  return join(configHome, 'ssh_config')
}

/** Git and ssh run as the build user. */
const READABLE = 0o644

/** `home` is where administrators put settings, keys and credentials. Root owns both folders. */
export function createUserConfig({ home, config }: { readonly home: string; readonly config: string }): UserConfig {
  const trusted = new Set<string>()
  let written = false
  const inTurn = createOneByOne()
  const update = async (path: string | undefined) => {
    if (written && (path === undefined || trusted.has(path)) && (await isThere(gitConfigFile(config)))) return
    if (path !== undefined) trusted.add(path)
    await writeAtomically(sshConfigFile(config), formatSshConfig(home), { mode: READABLE })
    await writeAtomically(gitConfigFile(config), formatGitConfig(home, [...trusted]), { mode: READABLE })
    written = true
  }
  // One at a time, because each call writes the whole files.
  return { prepare: recipe => inTurn(() => update(localRepository(recipe))) }
}

/**
 * Git refuses repositories of other users unless they are configured as safe. Only repositories that a recipe names are: a policy rule
 * that spells out the scheme has allowed them.
 */
function localRepository(recipe: Recipe): string | undefined {
  if (!isFlakeRecipe(recipe) || recipe.flake.scheme !== 'git+file') return undefined
  return decodeURIComponent(new URL(recipe.flake.source).pathname)
}

/**
 * Lets a run use only its own one of the repositories on this machine. The evaluated code may name others that the build user can read,
 * such as clones of other sources. Nix passes URLs of these to git, but paths of its own clones.
 */
export function gitAccess(recipe: Recipe): Record<string, string> {
  const own =
    isFlakeRecipe(recipe) && recipe.flake.scheme === 'git+file' ? [recipe.flake.source.slice('git+'.length)] : []
  const settings = [
    ['url.denied:.insteadOf', 'file:'],
    // The longest match wins. Some versions of nix write hex digits in lower case.
    ...own.flatMap(url => [url, lowerCaseHex(url)]).flatMap(allowAlone),
  ]
  return {
    GIT_CONFIG_COUNT: String(settings.length),
    ...Object.fromEntries(
      settings.flatMap(([key = '', value = ''], index) => [
        [`GIT_CONFIG_KEY_${index}`, key],
        [`GIT_CONFIG_VALUE_${index}`, value],
      ]),
    ),
  }
}

/** Git matches prefixes: the URL would also allow `file:///srv/app-secret` or `file:///srv/app/../secret`. */
function allowAlone(url: string): string[][] {
  const longer = PRINTABLE.map(character => ['url.denied://.insteadOf', url + character])
  return [[`url.${url}.insteadOf`, url], ...longer]
}

/** Characters that a URL can contain, and space. */
const PRINTABLE = Array.from({ length: 0x7f - 0x20 }, (_, index) => String.fromCharCode(0x20 + index))

function lowerCaseHex(url: string): string {
  return url.replace(/%../g, code => code.toLowerCase())
}

/**
 * Git runs no program to reach a repository. `file` is allowed only for nix, which copies from its own clone, and not for locations
 * that a repository names, such as submodules. Git cleans up its clone before it ends, not in a background process.
 */
const GIT_SETTINGS = `[core]
\thooksPath = /dev/null
\tfsmonitor = false
\tattributesFile = /dev/null
[gc]
\tautoDetach = false
[maintenance]
\tautoDetach = false
[protocol]
\tallow = never
${['https', 'http', 'ssh', 'git'].map(name => `[protocol "${name}"]\n\tallow = always\n`).join('')}[protocol "file"]
\tallow = user
`

function formatGitConfig(home: string, trusted: readonly string[]): string {
  // Depending on its version, git checks the working tree or the `.git` folder.
  const directories = trusted.flatMap(path => [path, join(path, '.git')])
  return `[include]
\tpath = ${JSON.stringify(join(home, '.gitconfig'))}
${GIT_SETTINGS}[safe]
${directories.map(path => `\tdirectory = ${JSON.stringify(path)}\n`).join('')}`
}

const SSH_KEYS = ['id_ed25519', 'id_ecdsa', 'id_rsa']

/** By default, ssh would use the home from the user database, which the build user may own. */
function formatSshConfig(home: string): string {
  const path = (name: string) => `"${join(home, '.ssh', name).replaceAll('%', '%%')}"`
  return `Include "${join(home, '.ssh/config')}"
Host *
  BatchMode yes
  ForwardAgent no
  PermitLocalCommand no
  UpdateHostKeys no
  UserKnownHostsFile ${path('known_hosts')}
${SSH_KEYS.map(name => `  IdentityFile ${path(name)}\n`).join('')}`
}
