import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { createOneByOne } from '../../../lib/async/one-by-one.ts'
import { writeAtomically } from '../../../lib/files/atomic-file.ts'
import { isFlakeRecipe, type Recipe } from '../../../recipes/recipe.ts'

/** The settings of git and ssh: root writes them, and the programs read no others. */
export interface UserConfig {
  /** Makes them fit for a run of the recipe. */
  prepare(recipe: Recipe): Promise<void>
}

/** The only file that git reads, as GIT_CONFIG_GLOBAL. */
export function gitConfigFile(configHome: string): string {
  return join(configHome, 'gitconfig')
}

/** The only file that ssh reads, as `ssh -F`. */
export function sshConfigFile(configHome: string): string {
  return join(configHome, 'ssh_config')
}

/** Git and ssh run as the build user. */
const READABLE = 0o644

/** `home`: where administrators put settings, keys and credentials. Root owns both folders. */
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
  // Each writes the whole files.
  return { prepare: recipe => inTurn(() => update(localRepository(recipe))) }
}

/**
 * Git reads no repository of another user unless it is told to trust it. One that a recipe names has been allowed by a
 * rule of the policy that spells its scheme out; those, and no others, are trusted.
 */
function localRepository(recipe: Recipe): string | undefined {
  if (!isFlakeRecipe(recipe) || recipe.flake.scheme !== 'git+file') return undefined
  return decodeURIComponent(new URL(recipe.flake.source).pathname)
}

/**
 * Of repositories on this machine, a run has its own: what it evaluates may name others, which the build user can read, the
 * clones of other sources among them. Nix gives git their URLs, and its own clones by their paths.
 */
export function gitAccess(recipe: Recipe): Record<string, string> {
  const own =
    isFlakeRecipe(recipe) && recipe.flake.scheme === 'git+file' ? [recipe.flake.source.slice('git+'.length)] : []
  const settings = [
    ['url.denied:.insteadOf', 'file:'],
    // The longest one counts. Some versions of nix write hex digits in lower case.
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

/** Git takes it for the beginning of others, too: `file:///srv/app-secret`, or `file:///srv/app/../secret`. */
function allowAlone(url: string): string[][] {
  const longer = PRINTABLE.map(character => ['url.denied://.insteadOf', url + character])
  return [[`url.${url}.insteadOf`, url], ...longer]
}

/** What a URL may have, and a space. */
const PRINTABLE = Array.from({ length: 0x7f - 0x20 }, (_, index) => String.fromCharCode(0x20 + index))

function lowerCaseHex(url: string): string {
  return url.replace(/%../g, code => code.toLowerCase())
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

/**
 * No program is run to get at a repository. `file` is left for nix, which copies from its own clone; where it is given by a
 * repository, as a submodule's place, git does not take it. Git tidies its clone before it ends: no process of its own stays.
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
  // Old and new versions of git name the folder with the files, or the one with the history.
  const directories = trusted.flatMap(path => [path, join(path, '.git')])
  return `[include]
\tpath = ${JSON.stringify(join(home, '.gitconfig'))}
${GIT_SETTINGS}[safe]
${directories.map(path => `\tdirectory = ${JSON.stringify(path)}\n`).join('')}`
}

const SSH_KEYS = ['id_ed25519', 'id_ecdsa', 'id_rsa']

/** ssh itself would look in the home that the user database knows, which may belong to that user. */
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
