import { describe, expect, test } from 'vitest'
import { lockFlake, parseFlakeUrl, parseLockOf } from '../../recipes/flake-url.ts'
import { checkNixKnows } from '../../shim/nix/evaluate/flake-address.ts'

const REV = '0123456789abcdef0123456789abcdef01234567'
const HASH = 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
const ENCODED_HASH = encodeURIComponent(HASH)

describe('a flake URL is accepted:', () => {
  test.each([
    ['github:owner/repo', 'github', 'github:owner/repo', false, false],
    ['github:owner/repo/main', 'github', 'github:owner/repo', false, false],
    ['github:owner/repo/feature/x', 'github', 'github:owner/repo', false, false],
    [`github:owner/repo/${REV}`, 'github', 'github:owner/repo', false, true],
    [`github:owner/repo?rev=${REV}`, 'github', 'github:owner/repo', false, true],
    ['github:owner/.dotfiles?ref=v1.0', 'github', 'github:owner/.dotfiles', false, false],
    ['github:owner/repo/refs/heads/main', 'github', 'github:owner/repo', false, false],
    ['gitlab:owner/repo/refs/heads/environments/review', 'gitlab', 'gitlab:owner/repo', false, false],
    ['gitlab:owner/repo/environments', 'gitlab', 'gitlab:owner/repo', false, false],
    ['github:owner/repo/pull/request', 'github', 'github:owner/repo', false, false],
    ['git+https://h.example/a?ref=refs/tags/v1', 'git+https', 'git+https://h.example/a', false, false],
    ['gitlab:owner/repo?dir=sub/dir', 'gitlab', 'gitlab:owner/repo', false, false],
    ['sourcehut:~owner/repo', 'sourcehut', 'sourcehut:~owner/repo', false, false],
    ['git+https://git.example/team/app.git', 'git+https', 'git+https://git.example/team/app.git', false, false],
    [`git+https://git.example:8443/a?ref=main&rev=${REV}`, 'git+https', 'git+https://git.example:8443/a', false, true],
    ['git+http://[::1]:80/a', 'git+http', 'git+http://[::1]:80/a', false, false],
    ['git+ssh://git@git.example/a?submodules=1', 'git+ssh', 'git+ssh://git@git.example/a', false, false],
    ['git+https://git.example/My%20Team/a', 'git+https', 'git+https://git.example/My%20Team/a', false, false],
    ['git+file:///srv/a?shallow=1', 'git+file', 'git+file:///srv/a', true, false],
    [`git+file:///srv/a?rev=${REV}`, 'git+file', 'git+file:///srv/a', true, true],
    ['path:/srv/a', 'path', 'path:/srv/a', true, false],
    ['tarball+https://h.example/latest', 'tarball+https', 'tarball+https://h.example/latest', false, false],
    ['gitlab:o/r?host=git.example&ref=main', 'gitlab', 'gitlab+https://git.example/o/r', false, false],
    [`github:o/r/${REV}?host=git.my-host.org`, 'github', 'github+https://git.my-host.org/o/r', false, true],
    ['git+https://h.example/a?exportIgnore=1&lfs=1', 'git+https', 'git+https://h.example/a', false, false],
    ['git+ssh://h.example/a?keytype=ssh-ed25519&verifyCommit=1', 'git+ssh', 'git+ssh://h.example/a', false, false],
    ['flake:nixpkgs', 'flake', 'flake:nixpkgs', false, false],
    [`flake:nixpkgs/main/${REV}`, 'flake', 'flake:nixpkgs', false, true],
  ])('%s', (url, scheme, source, local, locked) => {
    expect(parseFlakeUrl(url)).toEqual({ url, scheme, source, local, locked })
  })

  test.each([
    [`path:/srv/a?dir=x&narHash=${ENCODED_HASH}`, 'path:/srv/a', 'path:/srv/a?dir=x'],
    [`https://h.example/a.zip?narHash=${ENCODED_HASH}`, 'tarball+https://h.example/a.zip', 'https://h.example/a.zip'],
  ])('%s, locked to the content that the URL must have', (url, source, bare) => {
    expect(parseFlakeUrl(url)).toMatchObject({ url, source, locked: true, content: { narHash: HASH, url: bare } })
  })

  test.each([
    ['git+https://GIT.Example/a', 'git+https://git.example/a'],
    [`github:o/r?rev=${REV.toUpperCase()}&dir=a`, `github:o/r?dir=a&rev=${REV}`],
    [`github:o/r/${REV.toUpperCase()}`, `github:o/r/${REV}`],
    [`path:/a?narHash=${HASH}`, `path:/a?narHash=${ENCODED_HASH}`],
    ['tarball+https://h.example/a.tar.gz', 'https://h.example/a.tar.gz'],
    ['git+https://h.example/a?ref=a+b/c', 'git+https://h.example/a?ref=a+b/c'],
    ['git+https://h.example/a%c3%a9', 'git+https://h.example/a%C3%A9'],
    ['git+https://h.example/a/', 'git+https://h.example/a'],
    ['git+https://h.example/a/?ref=main', 'git+https://h.example/a?ref=main'],
    ['git+file:///srv/a/', 'git+file:///srv/a'],
    ['path:/srv/a/', 'path:/srv/a'],
    ['github:o/r/', 'github:o/r'],
    ['github:o/r/main/', 'github:o/r/main'],
    ['flake:nixpkgs/', 'flake:nixpkgs'],
    ['github:o/r?host=github.com', 'github:o/r'],
    ['sourcehut:~o/r?host=git.sr.ht&ref=main', 'sourcehut:~o/r?ref=main'],
    ['gitlab:o/r?host=Git.Example', 'gitlab:o/r?host=git.example'],
    [
      'git+https://h.example/a?publicKey=AAAAC3NzaC1lZDI1+/=',
      'git+https://h.example/a?publicKey=AAAAC3NzaC1lZDI1%2B%2F%3D',
    ],
  ])('%s becomes %s', (text, url) => {
    expect(parseFlakeUrl(text).url).toBe(url)
  })

  test.each([
    ['https://h.example/a.tar.gz', 'tarball+https', false],
    ['https://flakehub.com/f/team/app/0.1.*.tar.gz', 'tarball+https', false],
    [`https://h.example/a.zip?narHash=${ENCODED_HASH}`, 'tarball+https', true],
    ['tarball+file:///srv/a.tar.xz', 'tarball+file', false],
  ])('%s as %s, in the form that every Nix version knows', (text, scheme, locked) => {
    const flake = parseFlakeUrl(text)
    expect(flake).toMatchObject({ scheme, locked })
    expect(flake.source).toMatch(new RegExp(`^${scheme.replace('+', '\\+')}://`))
    expect(flake.url).not.toContain('tarball+')
  })
})

describe('a flake URL is rejected:', () => {
  test.each([
    ['', /empty/],
    ['nixpkgs', /no scheme/],
    ['/srv/a', /no scheme/],
    ['./a', /no scheme/],
    ['..', /no scheme/],
    ['-I', /starts with "-"/],
    ['--option', /starts with "-"/],
    ['--foo=github:o/r', /starts with "-"/],
    ['github:o/r ', /white space/],
    ['github:o/ r', /white space/],
    ['github:o/r\n--impure', /white space/],
    ['github:o/r\0', /printable/],
    ['github:o/r\u001b[31m', /printable/],
    ['github:o/r\u202e', /printable/],
    ['github:o/r#app', /"#"/],
    ['github:o/$(id)', /has a "\$"/],
    ['github:o/`id`', /has a "`"/],
    ["github:o/r'", /has a "'"/],
    ['github:o/r"', /has a "\\""/],
    ['github:o/r;id', /has a ";"/],
    ['github:o/r|id', /has a "\|"/],
    ['github:o\\r', /has a "\\\\"/],
    ['github:o/r^*', /has a "\^"/],
    ['github:o', /owner\/repo/],
    ['github:o/', /owner\/repo/],
    ['github:o/..', /owner\/repo/],
    ['github:../r', /owner\/repo/],
    ['github:-o/r', /owner\/repo/],
    ['github:o%2Fx/r', /owner\/repo/],
    ['github:o/r//', /rev or ref/],
    ['github:o/r*', /owner\/repo/],
    ['gitlab:o/r/*', /rev or ref/],
    ['github:o/r/a..b', /rev or ref/],
    ['github:o/r/-x', /rev or ref/],
    ['github:o/r/refs/pull/1/head', /reserved for proposals or pipelines/],
    ['github:o/r/pull/1/head', /reserved for proposals or pipelines/],
    ['github:o/r?ref=refs/pull/1/merge', /reserved for proposals or pipelines/],
    ['gitlab:o/r/merge-requests/1/head', /reserved for proposals or pipelines/],
    ['gitlab:o/r?ref=refs/merge-requests/1/head', /reserved for proposals or pipelines/],
    [`flake:nixpkgs/refs/pull/1/head/${REV}`, /reserved for proposals or pipelines/],
    ['git+https://h.example/a?ref=refs/pull/1/head', /reserved for proposals or pipelines/],
    ['gitlab:o/r/pipelines/12', /reserved for proposals or pipelines/],
    ['gitlab:o/r?ref=pipelines/12', /reserved for proposals or pipelines/],
    [`gitlab:o/r/keep-around/${REV}`, /reserved for proposals or pipelines/],
    ['gitlab:o/r/environments/review', /reserved for proposals or pipelines/],
    ['gitlab:o/r/environments/review/deployments/1', /reserved for proposals or pipelines/],
    [`gitlab:o/r/tmp/${'a'.repeat(32)}/head`, /reserved for proposals or pipelines/],
    ['gitlab:o/r/workloads/1', /reserved for proposals or pipelines/],
    ['gitlab:o/r/remotes/fork/main', /reserved for proposals or pipelines/],
    ['flake:app/pull-requests/1/from', /reserved for proposals or pipelines/],
    ['flake:app/changes/01/1/1', /reserved for proposals or pipelines/],
    ['github:o/r/heads/../pull', /rev or ref/],
    ['git+https://h.example/a?ref=refs/pull-requests/1/from', /reserved for proposals or pipelines/],
    ['git+https://h.example/a?ref=refs/for/main', /reserved for proposals or pipelines/],
    [`git+https://h.example/a?ref=refs/changes/01/1/1&rev=${REV}`, /reserved for proposals or pipelines/],
    ['git+ssh://git@h.example/a?ref=refs/headsman', /reserved for proposals or pipelines/],
    ['git+file:///srv/a?ref=refs/stash', /reserved for proposals or pipelines/],
    [`github:o/r/main?rev=${REV}`, /both/],
    ['github:o/r?host=git.example:8443', /"host" in its query is not the name of a host, without a port/],
    ['github:o/r?host=git.example/a', /"host"/],
    ['github:o/r?host=-oProxyCommand', /"host"/],
    ['github:o/r?host=', /"host"/],
    ['github:o/r?host=a%2Fb', /"host"/],
    ['git+https://h.example/r?host=git.example', /its query has "host", and may have rev, /],
    ['gitlab:group%2Fsub/repo', /misread its "%2F": write git\+https:\/\/gitlab\.com\/GROUP\/SUBGROUP\/REPO/],
    ['gitlab:group%2fsub/repo?host=git.example', /misread its "%2F"/],
    ['github:o/r?ref=a&ref=b', /twice/],
    ['github:o/r?', /query may have/],
    ['github:o/r?ref', /query may have/],
    ['github:o/r?ref=--upload-pack=id', /"ref"/],
    ['github:o/r?ref=a%0ab', /"ref"/],
    ['github:o/r?rev=abc', /40 hex/],
    [`github:o/r?rev=${REV}0`, /40 hex/],
    ['github:o/r?dir=../x', /"dir"/],
    ['github:o/r?dir=a/../../x', /"dir"/],
    ['github:o/r?dir=/etc', /"dir"/],
    ['github:o/r?dir=%2e%2e', /"dir"/],
    ['github:o/r?dir=', /"dir"/],
    [
      'github:o/r?submodules=1',
      /has "submodules", and may have .* for other keys write git\+https:\/\/github\.com\/OWNER/,
    ],
    [`github:o/r/${REV}?lastModified=1`, /"lastModified", which does not lock/],
    [
      `https://gitlab.example/archive.tar.gz?sha=${REV}`,
      /has "sha", and may have narHash, dir only, as the content must .*: for a revision write git\+https:/,
    ],
    ['git+https://h.example/r?publicKeys=%5B%5D', /has "publicKeys"/],
    ['git+https://h.example/r?publicKey=%22', /"publicKey" in its query is not an ssh key in base64/],
    ['git+https://h.example/r?keytype=gpg', /"keytype"/],
    ['git+https://h.example/r?lfs=yes', /0 or 1/],
    [
      `github:o/r/${REV}?narHash=${ENCODED_HASH}`,
      /"narHash", which does not lock a flake of this scheme: leave it out/,
    ],
    ['gitlab:o/r?lastModified=1', /"lastModified", which does not lock/],
    ['flake:r?revCount=1', /"revCount", which does not lock/],
    [`flake:r?rev=${REV}`, /"rev", which does not lock/],
    ['flake:r?ref=main', /may have dir only/],
    [`git+https://h.example/r?rev=${REV}&narHash=${ENCODED_HASH}`, /"narHash", which does not lock/],
    ['git+file:///r?revCount=1', /"revCount", which does not lock/],
    [`path:/r?rev=${REV}`, /"rev", which does not lock/],
    [`path:/r?narHash=${ENCODED_HASH}&lastModified=1`, /"lastModified", which does not lock/],
    ['https://h.example/r.zip?revCount=1', /"revCount", which does not lock/],
    ['git+https://h.example/r?submodules=yes', /0 or 1/],
    ['path:/a?narHash=sha256-abc', /SRI/],
    ['git+https:h.example/r', /\/\/host\/path/],
    ['git+https://h.example', /\/\/host\/path/],
    ['git+https:///r', /host/],
    ['git+https://-oProxyCommand=id/r', /host/],
    ['git+ssh://-oProxyCommand=id/r', /host/],
    ['git+ssh://-oProxyCommand=id@h.example/r', /user name/],
    ['git+https://h.example:port/r', /host/],
    ['git+https://h.example/', /\/\/host\/path/],
    ['git+https://h.example/a//', /empty segment/],
    ['tarball+https://h.example/a/', /"\/" at the end/],
    ['git+https://h.example/a*', /has a "\*", which is not allowed there/],
    ['git+https://h.example/a%2A', /has %2A, which is not allowed there/],
    ['https://h.example/a.%2A.tar.gz', /has %2A: write that character as it is/],
    ['file:///srv/a*.tar.gz', /has a "\*"/],
    ['git+https://h.example/a//b', /empty segment/],
    ['git+file:///srv/%FF', /not UTF-8/],
    ['git+https://h.example/%C3', /not UTF-8/],
    ['git+https://h.example/./b', /"\." or "\.\."/],
    ['git+https://h.example/a/../b', /"\." or "\.\."/],
    ['git+https://h.example/a/%2e%2e/b', /%2E/],
    ['git+https://h.example/a%2fb', /%2F/],
    ['git+https://h.example/a%0Ab', /%0A/],
    ['git+https://h.example/a%00', /%00/],
    ['git+https://h.example/a%zz', /not allowed there/],
    ['git+https://h.example/-a', /starts with "-"/],
    ['git+file://h.example/a', /absolute/],
    ['git+file:a', /absolute/],
    ['path:a', /absolute/],
    ['path:/', /absolute/],
    ['git+file:///', /empty segment/],
    ['path:../a', /absolute/],
    ['path://a', /empty segment/],
    ['path:/a/../etc', /"\." or "\.\."/],
    ['flake:-x', /registry/],
    ['flake:', /registry/],
    ['file:///etc/passwd', /scheme is not one of/],
    ['https://h.example/page', /scheme is not one of/],
    ['hg+https://h.example/r', /scheme is not one of/],
    ['git+ext://sh -c id', /white space/],
    ['GITHUB:o/r', /no scheme/],
    [`github:o/${'r'.repeat(1024)}`, /characters, at most 1024/],
    [
      `git+https://h.example/a?publicKey=${'/'.repeat(900)}`,
      /with its query encoded it has 2734 characters, at most 1024/,
    ],
  ])('%j', (text, problem) => {
    expect(() => parseFlakeUrl(text)).toThrow(problem)
    expect(() => parseFlakeUrl(text)).toThrow(
      expect.objectContaining({ code: 'RecipeInvalid', message: expect.stringContaining('github:owner/repo/REV') }),
    )
  })

  test.each([
    'git+https://somebody:hunter2@h.example/r',
    'git+https://hunter2@h.example/r',
    'git+ssh://git:hunter2@h.example/r',
    'git+https://somebody:hunter2@h.example/a b',
    'git+https://h.example/r?token=hunter2',
    'git+https://h.example/r?token=hunter2@h',
    'git+https://h.example/r?token=h@hunter2',
    'git+https://user:hunter2/ken@host/x',
    'git+https://user:to/hunter2@host/x',
    'git+https://user:hunter2?ken@host/x',
    'git+https://user:to?hunter2@host/x',
    'git+https://user:hunter2//ken@host/x',
    'git+https:\\\\user:hunter2/ken@host/x',
    'https://user@there:hunter2/ken@host/x',
    'hunter2/x@host',
    'hunter2://x@host',
    `git+https://${'x'.repeat(2000)}:hunter2@h.example/r`,
  ])('%s, without repeating the secret', text => {
    expect(() => parseFlakeUrl(text)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hunter2') }),
    )
  })

  test.each(['x', '/', 'a@', '%', '\n', 'github:o/', 'git+https://a.'])('200 kB of %j, with a short message', piece => {
    expect(() => parseFlakeUrl(piece.repeat(200_000 / piece.length))).toThrow(
      expect.objectContaining({ message: expect.stringMatching(/^.{1,250}$/) }),
    )
  })
})

describe('a query key that a Nix version reads as part of the URL', () => {
  test.each([
    ['git+https://h.example/a?lfs=1', '2.26.3', '2.27'],
    ['git+ssh://h.example/a?lfs=1', '2.30.2', '2.31'],
    ['git+ssh://h.example/a?lfs=1', '2.8.0', '2.31'],
    ['git+https://h.example/a?allRefs=1', '2.14.1', '2.15'],
    ['git+https://h.example/a?exportIgnore=1&ref=main', '2.8.0', '2.20'],
    ['git+https://h.example/a?publicKey=AAAAC3NzaC1lZDI1', '2.18', '2.19'],
  ])('is rejected: %s with Nix %s', (text, version, since) => {
    const flake = parseFlakeUrl(text)
    expect(() => checkNixKnows(flake, version)).toThrow(`needs Nix ${since}, and this node has ${version}`)
    expect(() => checkNixKnows(flake, `${since}.0`)).not.toThrow()
  })

  test.each(['git+https://h.example/a?ref=lfs', 'git+https://h.example/lfs=1?ref=a', 'github:o/lfs'])(
    'is not in %s',
    text => {
      expect(() => checkNixKnows(parseFlakeUrl(text), '2.8.0')).not.toThrow()
    },
  )
})

describe('a flake URL is locked to its current content:', () => {
  test.each([
    ['github:owner/repo', `github:owner/repo/${REV}`],
    ['github:owner/repo/main?dir=sub', `github:owner/repo/${REV}?dir=sub`],
    ['gitlab:o/r?host=git.example&ref=feature/x', `gitlab:o/r/${REV}?host=git.example`],
    ['git+https://h.example/a', `git+https://h.example/a?rev=${REV}`],
    ['git+https://h.example/a?ref=main&submodules=1', `git+https://h.example/a?ref=main&rev=${REV}&submodules=1`],
    ['flake:nixpkgs', `flake:nixpkgs/${REV}`],
    ['flake:nixpkgs/main?dir=a', `flake:nixpkgs/main/${REV}?dir=a`],
    ['path:/srv/a', `path:/srv/a?narHash=${ENCODED_HASH}`],
    ['https://h.example/a.tar.gz?dir=sub', `https://h.example/a.tar.gz?dir=sub&narHash=${ENCODED_HASH}`],
    ['tarball+https://h.example/a', `tarball+https://h.example/a?narHash=${ENCODED_HASH}`],
  ])('%s', (url, expected) => {
    const flake = parseFlakeUrl(url)
    const lock = lockFlake(flake, { rev: REV, narHash: HASH })
    expect(lock).toEqual(parseFlakeUrl(expected))
    expect(lock).toMatchObject({ locked: true, source: flake.source })
    expect(parseLockOf(flake, expected)).toEqual(lock)
  })

  test.each(['github:owner/repo', 'path:/srv/a'])('%s, unless nix does not tell that content', url => {
    expect(lockFlake(parseFlakeUrl(url), {})).toBeUndefined()
  })
})

test.each([
  ['another repository', 'github:owner/repo', `github:other/repo/${REV}`],
  ['another host', 'github:owner/repo', `github:owner/repo/${REV}?host=git.example`],
  ['another folder', 'github:owner/repo?dir=a', `github:owner/repo/${REV}?dir=b`],
  ['another branch', 'git+https://h.example/a?ref=main', `git+https://h.example/a?ref=other&rev=${REV}`],
  ['another query', 'git+https://h.example/a', `git+https://h.example/a?rev=${REV}&submodules=1`],
  ['a branch', 'github:owner/repo', 'github:owner/repo/main'],
  ['another scheme', 'git+https://h.example/a', `git+http://h.example/a?rev=${REV}`],
  ['text', 'github:owner/repo', '--option'],
  ['its own lock, but the flake is locked', `github:owner/repo/${REV}`, `github:owner/repo/${REV}`],
])('a flake is not locked by %s', (_, url, text) => {
  expect(parseLockOf(parseFlakeUrl(url), text)).toBeUndefined()
})
