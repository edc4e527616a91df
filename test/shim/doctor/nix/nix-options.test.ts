import { expect, test } from 'vitest'
import { judgeOptions } from '../../../../shim/doctor/nix/nix-options.ts'

test.each<[Record<string, string>, boolean | undefined, string, string]>([
  [{}, false, 'ok', 'no settings'],
  [{ 'tarball-ttl': '0' }, false, 'ok', 'tarball-ttl'],
  [{ sandbox: 'true' }, true, 'ok', 'sandbox'],
  [
    { sandbox: 'true', 'tarball-ttl': '0' },
    false,
    'warning',
    'has sandbox, which the daemon accepts only from trusted users, and builder is not trusted',
  ],
  [{ 'extra-substituters': 'https://a.example' }, undefined, 'warning', 'does not report'],
  [{ fallback: 'true' }, false, 'ok', 'fallback'],
  [{ 'extra-binary-caches': 'https://a.example' }, false, 'warning', 'extra-binary-caches'],
  [{ 'extra-platforms': 'i686-linux' }, false, 'warning', 'extra-platforms'],
])('for settings %j and a user with trust %s, doctor reports: %s', (options, trusted, outcome, text) => {
  const finding = judgeOptions({ options, user: 'builder', trusted })
  expect(finding).toMatchObject({ outcome, text: expect.stringContaining(text) })
})
