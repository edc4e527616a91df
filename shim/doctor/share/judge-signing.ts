import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { messageOf } from '../../../lib/errors.ts'
import { type PublicKey, parsePublicKey } from '../../../lib/text/public-key.ts'
import { quote } from '../../../lib/text/quote.ts'
import type { NodeKey } from '../../cluster/published-keys.ts'
import type { NixConfig } from '../../nix/process/nix-config.ts'
import { USE_FEATURES } from '../nix/nix-of-shim.ts'
import type { RunNix } from '../nix/sandbox.ts'
import { type Finding, failed, ok, skipped, warning } from '../probes/finding.ts'
import { isRoot } from '../probes/processes.ts'
import { builtPaths, newestResults } from './built-paths.ts'

export interface Signing {
  readonly publicKeyFile: string | undefined
  readonly stateDir: string
  readonly run: RunNix
  readonly settings: () => Promise<Pick<NixConfig, 'secretKeyFiles'> | undefined>
  /** What the NixNode of this node shows; undefined if nobody can tell. */
  readonly published: () => Promise<Pick<NodeKey, 'text' | 'problem'> | undefined>
}

const SIGN = 'set secret-key-files in /etc/nix/nix.conf to the file of the secret key, and restart the Nix daemon'

/** Whether Nix signs what it builds here, with the key that the NixNode shows. */
export async function judgeSigning({ publicKeyFile, stateDir, run, settings, published }: Signing): Promise<Finding> {
  if (publicKeyFile === undefined)
    return warning(
      'share.publicKeyFile is not set: administrators do not see the key that this node signs with',
      'set it to the file with the public key; see nix key generate-secret and convert-secret-to-public',
    )
  const key = await readKey(publicKeyFile)
  if (typeof key === 'string') return warning(key, 'write the public key there: nix key convert-secret-to-public')
  const files = (await settings())?.secretKeyFiles
  if (files?.length === 0) return warning('Nix does not sign what it builds, so no node may copy it', SIGN)
  const missing = files?.find(file => isRoot() && !existsSync(file))
  if (missing !== undefined)
    return failed(
      `every build fails: Nix cannot sign without ${missing}, which does not exist`,
      'restore or make the key (on NixOS: systemctl restart enbi-share-key), or remove it from secret-key-files',
    )
  const shown = await published()
  if (shown !== undefined && shown.text !== key.text)
    return warning(
      `the NixNode shows ${shown.text === undefined ? 'no key' : quote(shown.text)}, but ${publicKeyFile} has ${key.text}`,
      'see whether the shim runs with this config; it reads the file when it reports',
    )
  if (shown?.problem !== undefined)
    return warning(
      `the NixNode shows ${key.text}, which nobody can trust: ${shown.problem}`,
      'make a key with another name: nix key generate-secret --key-name (on NixOS: services.enbi-shim.share.keyName)',
    )
  return judgeSignatures(key, stateDir, run)
}

async function readKey(file: string): Promise<PublicKey | string> {
  try {
    const text = (await readFile(file, 'utf8')).trim()
    return parsePublicKey(text) ?? `${file} is not one line with NAME:BASE64 of a public key`
  } catch (error) {
    return messageOf(error)
  }
}

/** Of the newest images, because those before them may be older than the key. */
async function judgeSignatures(key: PublicKey, stateDir: string, run: RunNix): Promise<Finding> {
  const results = await newestResults(stateDir)
  if (results.length === 0) return ok(`${key.text}; nothing has been built yet`)
  const built = await builtPaths(run, results)
  if (built === undefined) return skipped('nix does not tell about the store paths of images')
  if (built.length === 0) return ok(`${key.text}; nothing of the newest images was built here`)
  const signed = built.filter(({ signatures }) => signatures.some(text => text.startsWith(`${key.name}:`)))
  const [first] = signed
  if (first !== undefined && !(await isSignedWith(key, first.path, run)))
    return warning(
      `${first.path} is signed with another key of the name ${key.name} than ${key.text}`,
      'write the public key of the secret key that Nix uses to share.publicKeyFile, or give the new key another name',
    )
  if (signed.length === built.length)
    return ok(`${key.text}; has signed all ${built.length} store paths of the newest images that were built here`)
  const unsigned = built.filter(path => !signed.includes(path)).map(({ path }) => path)
  // Only these: with --recursive, this node would also vouch for what others have built.
  const named = unsigned.slice(0, MAX_NAMED).join(' ')
  const more = unsigned.length > MAX_NAMED ? ' (doctor names the others after that)' : ''
  return warning(
    `${unsigned.length} of ${built.length} store paths of the newest images have no signature of ${key.name}, as ${unsigned[0]}: no node may copy them`,
    `if they are older than the key, sign them once as root: nix store sign --key-file FILE ${named}${more}; otherwise ${SIGN}`,
  )
}

/** Store paths in a message. */
const MAX_NAMED = 16

/** Nix itself verifies it. The client also trusts the public halves of secret keys that it can read, as their owner. */
async function isSignedWith(key: PublicKey, path: string, run: RunNix): Promise<boolean> {
  const only = ['--option', 'trusted-public-keys', key.text, '--option', 'secret-key-files', '']
  const answer = await run(['store', 'verify', '--no-contents', '--sigs-needed', '1', ...only, ...USE_FEATURES, path])
  return !('problem' in answer)
}
