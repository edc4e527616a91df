import { expect, test } from 'vitest'
import { canBeLocked } from '../../../../shim/nix/evaluate/evaluate.ts'

test.each([
  { url: 'path:/srv/app', can: true },
  { url: 'git+https://git.example/app?ref=refs/heads/main&rev=0123&dir=sub&shallow=1', can: true },
  { url: 'tarball+https://host.example/a.tar.gz?narHash=sha256-x', can: true },
  { url: 'git+https://git.example/app?submodules=1', can: false },
  { url: 'git+https://git.example/app?ref=main&allRefs=1', can: false },
  { url: 'gitlab:team/app?host=gitlab.example', can: false },
  { url: 'git+https://git.example/app?lfs=1', can: false },
])('whether the locked URL keeps all of $url is $can', ({ url, can }) => {
  expect(canBeLocked(url)).toBe(can)
})
