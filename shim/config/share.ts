import * as v from 'valibot'
import { absolutePath, atLeastOne, duration } from './value-types.ts'

const SCHEMES: readonly string[] = ['http:', 'https:']
const STORE_SCHEMES: readonly string[] = [...SCHEMES, 's3:', 'file:', 'ssh-ng:']

const peerAddress = v.pipe(
  v.string(),
  v.maxLength(253),
  v.check(
    text => isUrl(text, SCHEMES) && new URL(text).search === '',
    'expected the URL of a binary cache, like http://10.0.0.5:5000',
  ),
  v.metadata({ type: 'URL' }),
)

const storeUrl = v.pipe(
  v.string(),
  v.maxLength(1024),
  v.check(
    text => isUrl(text, STORE_SCHEMES),
    'expected the URL of a Nix store without a password, like https://cache.example or s3://bucket',
  ),
  v.metadata({ type: 'URL' }),
)

function isUrl(text: string, schemes: readonly string[]): boolean {
  if (!URL.canParse(text) || /[\s\0]/.test(text)) return false
  const { protocol, username, password } = new URL(text)
  return schemes.includes(protocol) && password === '' && (username === '' || protocol === 'ssh-ng:')
}

/** What nodes share of what they build. */
export const share = v.strictObject({
  address: v.optional(
    v.pipe(
      peerAddress,
      v.metadata({ default: 'none: this node copies from others, but nobody copies from it' }),
      v.description('Where other nodes reach the binary cache that serves the Nix store of this node.'),
    ),
  ),
  publicKeyFile: v.optional(
    v.pipe(
      absolutePath,
      v.metadata({ default: 'none' }),
      v.description('File with the public key that this node signs with. The NixNode shows it to administrators.'),
    ),
  ),
  stores: v.optional(
    v.pipe(
      v.array(storeUrl),
      v.maxLength(8),
      v.description('Binary caches that are asked before the nodes, in this order.'),
    ),
    [],
  ),
  push: v.optional(
    v.pipe(
      storeUrl,
      v.metadata({ default: 'none' }),
      v.description('Store that gets what this node builds, in the background.'),
    ),
  ),
  maxServed: v.optional(
    v.pipe(atLeastOne, v.maxValue(64), v.description('Nodes that may copy from this node at the same time.')),
    4,
  ),
  wait: v.optional(
    v.pipe(
      duration,
      v.description(
        'How long this node waits for another one that builds, before it builds itself. It should exceed `nix.timeout`: else all that wait begin to build while that one still does.',
      ),
    ),
    '70m',
  ),
  copyTimeout: v.optional(
    v.pipe(duration, v.description('Longest time that copying from one binary cache may take.')),
    '10m',
  ),
})
