import * as v from 'valibot'

/** Whose values are secrets, with `extra-` before them, too. */
const SECRET_SETTINGS = /^(?:extra-)?(?:access-tokens|impure-env)$/
/** A password, or a token in its place, which has no colon before it. The name of a user alone is what ssh has. */
const SECRET_IN_URL = /:\/\/[^\s/@:]*:[^\s/@]*@|https?:\/\/[^\s/@]+@/
const PATH = /^\/\S*$/
const NO_SECRETS =
  'expected no secret here, as every user of the node can see the arguments of nix: put it into a file that only root can read, and name that as nix.credentials.nixConf'

/** Nix settings are passed on as `--option NAME VALUE`. */
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
  // What is in that file is secret, its name is not.
  v.forward(
    v.check(options => PATH.test(options['netrc-file'] ?? '/'), `expected the path of a file. ${NO_SECRETS}`),
    ['netrc-file'],
  ),
)
