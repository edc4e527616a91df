import * as v from 'valibot'
import { parseListenAddress } from '../../lib/http/listen-address.ts'
import { parseDuration, parseSize } from '../../lib/text/units.ts'

// Types of values in the config. The reference page names a type by its metadata.

export const absolutePath = v.pipe(
  v.string(),
  v.regex(/^\/[^\0]*$/, 'expected an absolute path'),
  v.metadata({ type: 'path' }),
)
export const atLeastOne = v.pipe(v.number(), v.integer(), v.minValue(1), v.metadata({ type: 'integer, at least 1' }))
export const duration = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const milliseconds = parseDuration(dataset.value)
    if (milliseconds !== undefined) return milliseconds
    addIssue({ message: 'expected a duration such as 30s, 5m or 1h, of 24 days at most' })
    return NEVER
  }),
  v.metadata({ type: 'duration' }),
)
export const size = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const bytes = parseSize(dataset.value)
    if (bytes !== undefined) return bytes
    addIssue({ message: 'expected a size such as 500MiB or 20GiB' })
    return NEVER
  }),
  v.metadata({ type: 'size' }),
)
export const listenAddress = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const address = parseListenAddress(dataset.value)
    if (address) return address
    addIssue({ message: 'expected HOST:PORT, as in 127.0.0.1:9469' })
    return NEVER
  }),
  v.metadata({ type: 'HOST:PORT' }),
)
/** Name of the Node object, as in `kubelet --hostname-override`. */
export const nodeName = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'expected the name of a node, like worker-1.example'),
  v.metadata({ default: 'the host name' }),
)

/** Settings with secret values, also with the prefix `extra-`. */
const SECRET_SETTINGS = /^(?:extra-)?(?:access-tokens|impure-env)$/
/** A password, or a token without a user name. URLs of ssh may contain a user name alone. */
const SECRET_IN_URL = /:\/\/[^\s/@:]*:[^\s/@]*@|https?:\/\/[^\s/@]+@/
const PATH = /^\/\S*$/
const NO_SECRETS =
  'expected no secret here, as every user of the node can see the arguments of nix: put it into a file that only root can read, and name that as nix.credentials.nixConf'

/** Nix settings, which the shim passes on as `--option NAME VALUE`. */
export const nixOptions = v.pipe(
  v.record(
    v.pipe(
      v.string(),
      v.regex(/^[a-z][a-z0-9-]*$/, 'expected the name of a Nix setting'),
      v.check(name => !SECRET_SETTINGS.test(name), NO_SECRETS),
    ),
    v.pipe(
      v.union([v.string(), v.number(), v.boolean()]),
      v.transform(value => String(value)),
      v.check(value => !SECRET_IN_URL.test(value), NO_SECRETS),
    ),
  ),
  // The content of the file is secret, not its name.
  v.forward(
    v.check(options => PATH.test(options['netrc-file'] ?? '/'), `expected the path of a file. ${NO_SECRETS}`),
    ['netrc-file'],
  ),
)
