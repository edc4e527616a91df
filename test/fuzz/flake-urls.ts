import fc from 'fast-check'

const REV = '0123456789abcdef0123456789ABCDEF01234567'
const HASH = 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='

const oneOf = (...texts: string[]) => fc.constantFrom(...texts)
const text = (characters: string, minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...characters), minLength, maxLength })

const scheme = oneOf(
  ...['github', 'gitlab', 'sourcehut', 'git+https', 'git+http', 'git+ssh', 'git+file', 'tarball+https', 'tarball+http'],
  ...['tarball+file', 'https', 'http', 'file', 'path', 'flake', 'git', 'hg+https', 'GitHub', 'file+https'],
)
const odd = text("abZ019.-_~%@:+=,/?#&!$'()*;[]\\ \t", 0, 6)
const encoded = oneOf('%20', '%C3%A9', '%c3%a9', '%2e%2e', '%2F', '%00', '%25', '%3F', '%23', '%41', '%')
const segment = fc.oneof(
  { arbitrary: text('abz019.-_~', 1, 6), weight: 20 },
  {
    arbitrary: oneOf('..', '.', '', REV, 'main', 'refs', 'heads', 'pull', 'a.tar.gz', 'x.zip', 'a@b', 'a:b'),
    weight: 4,
  },
  { arbitrary: encoded, weight: 1 },
  { arbitrary: odd, weight: 1 },
)
const path = fc.array(segment, { minLength: 1, maxLength: 3 }).map(segments => segments.join('/'))
const host = fc.oneof(
  { arbitrary: oneOf('git.example', 'GIT.example:8443', '[::1]:80', '127.0.0.1', 'a.b-c.d'), weight: 12 },
  {
    arbitrary: oneOf('', '-oX', 'a_b', '[fe80::1%25eth0]', 'a:b@c', 'u@h', 'a%41', 'h:99999', 'a..b', 'a.'),
    weight: 2,
  },
  { arbitrary: odd, weight: 1 },
)
const name = text('abzAZ019.-_~', 1, 6)
const tame = fc.array(name, { minLength: 1, maxLength: 3 }).map(segments => segments.join('/'))
const place = fc.oneof(
  fc.tuple(host, path).map(([authority, rest]) => `//${authority}/${rest}`),
  path.map(rest => `/${rest}`),
  path.map(rest => `///${rest}`),
  path,
)
const key = fc.oneof(
  {
    arbitrary: oneOf(
      ...['rev', 'ref', 'dir', 'narHash', 'submodules', 'shallow', 'allRefs'],
      ...['host', 'lfs', 'exportIgnore', 'verifyCommit', 'publicKey', 'keytype'],
    ),
    weight: 16,
  },
  {
    arbitrary: oneOf('url', 'type', 'lastModified', 'revCount', 'owner', 'Rev', 'publicKeys', 'r%65v', '', 'name'),
    weight: 2,
  },
)
const value = fc.oneof(
  {
    arbitrary: oneOf(
      REV,
      HASH,
      encodeURIComponent(HASH),
      '0',
      '1',
      'main',
      'refs/tags/v1',
      'sub/dir',
      'a+b',
      'h.example',
    ),
    weight: 6,
  },
  { arbitrary: encoded, weight: 1 },
  { arbitrary: odd, weight: 1 },
)
const pair = fc.tuple(key, value).map(parts => parts.join('='))
const query = fc
  .array(pair, { minLength: 0, maxLength: 2 })
  .map(pairs => (pairs.length === 0 ? '' : `?${pairs.join('&')}`))

const built = fc.tuple(scheme, place, query).map(parts => join(...parts))
const remote = fc.tuple(oneOf('git+https', 'git+http', 'git+ssh', 'tarball+https', 'tarball+http', 'https'), host, path)
const local = fc.tuple(oneOf('git+file://', 'tarball+file://', 'file://', 'path:'), path)
const forge = fc.tuple(oneOf('github', 'gitlab', 'sourcehut', 'flake'), fc.oneof(tame, path))
const likely = fc.oneof(
  fc.tuple(remote, query).map(([[name, authority, rest], params]) => join(name, `//${authority}/${rest}`, params)),
  fc.tuple(local, query).map(([[start, rest], params]) => `${start}/${rest}${params}`),
  fc.tuple(forge, query).map(([[name, rest], params]) => join(name, rest, params)),
)

function join(name: string, rest: string, params: string): string {
  return `${name}:${rest}${params}`
}

const good = oneOf(
  'github:owner/repo',
  `github:owner/repo/${REV}`,
  'gitlab:owner/repo/feature/x?dir=sub',
  `sourcehut:~owner/repo?rev=${REV}`,
  `git+https://git.example:8443/team/app.git?ref=main&rev=${REV}`,
  'git+ssh://git@git.example/team/app?submodules=1',
  'git+http://[::1]:80/app?shallow=1',
  'git+file:///srv/team/app?ref=main',
  'git+https://git.example/My%20Team/%C3%A9?dir=a/b',
  'tarball+https://h.example/latest',
  `https://h.example/a.tar.gz?dir=sub&narHash=${encodeURIComponent(HASH)}`,
  `path:/srv/app?narHash=${HASH}`,
  'file:///srv/app.tar.xz',
  'github:owner/repo/main?host=git.example',
  'gitlab:owner/repo?host=GIT.my-host.example',
  'gitlab:group%2Fsub/repo',
  'git+https://git.example/app?lfs=1&exportIgnore=1',
  'git+https://git.example/app?verifyCommit=1&keytype=ssh-ed25519&publicKey=AAAAC3NzaC1lZDI1%2B%2F%3D',
  'https://flakehub.com/f/team/app/0.1.*.tar.gz',
  'github:owner/repo/',
  'git+https://git.example/team/app/?ref=main',
  'flake:nixpkgs',
  `flake:nixpkgs?rev=${REV}`,
  `flake:nixpkgs/main/${REV}`,
)
const patch = fc.record({
  at: fc.nat(80),
  remove: fc.nat(3),
  insert: fc.oneof(odd, encoded, oneOf('/', '//', '?', '&', '=', '@', ':', '..', 'dir=x&', '&ref=x', REV)),
})
const mutated = fc.tuple(good, fc.array(patch, { minLength: 0, maxLength: 2 })).map(([url, patches]) =>
  patches.reduce((now, { at, remove, insert }) => {
    const index = at % (now.length + 1)
    return now.slice(0, index) + insert + now.slice(index + remove)
  }, url),
)

/** Valid flake URLs, and URLs that are almost valid. */
export const flakeUrl = fc.oneof(likely, mutated, built, good)
