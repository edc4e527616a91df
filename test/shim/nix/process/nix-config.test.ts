import { expect, test } from 'vitest'
import { parseNixConfig } from '../../../../shim/nix/process/nix-config.ts'

const SETTINGS = {
  'trusted-public-keys': { value: ['a:x'] },
  'secret-key-files': { value: ['/k'] },
  'require-sigs': { value: true },
  'min-free': { value: 0 },
}

test('reads what Nix says about itself, and skips what else it says', () => {
  expect(parseNixConfig(JSON.stringify({ ...SETTINGS, cores: { value: 0 } }))).toEqual({
    ...{ trustedKeys: ['a:x'], secretKeyFiles: ['/k'], requiresSignatures: true, minFree: 0 },
  })
})

test.each([{ 'min-free': { value: '1' } }, { 'min-free': undefined }])('takes %j for no min-free', setting => {
  expect(parseNixConfig(JSON.stringify({ ...SETTINGS, ...setting }))).toMatchObject({ minFree: 0 })
})

test.each([
  '',
  '[]',
  '{}',
  JSON.stringify({ ...SETTINGS, 'trusted-public-keys': { value: 'a:x' } }),
  JSON.stringify({ ...SETTINGS, 'secret-key-files': { value: Array.from({ length: 1025 }, () => '/k') } }),
])('refuses other answers (%#)', stdout => {
  expect(() => parseNixConfig(stdout)).toThrow('unexpected answer')
})
