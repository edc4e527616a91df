import { expect, test } from 'vitest'
import { readSignaturePolicy } from '../../../../shim/nix/binary-cache/trusted-keys.ts'

const query = (command: string) => ({
  nix: { command, options: {} },
  user: { home: '/', env: {} },
  signal: new AbortController().signal,
})

test.each([
  [
    'CopyFailed if the program is none of Nix',
    process.execPath,
    'CopyFailed',
    /^which keys Nix trusts cannot be read: /,
  ],
  ['NixMissing without a program', '/nonexistent/nix', 'NixMissing', /\/nonexistent\/nix/],
])('the keys that Nix trusts cannot be read: %s', async (_, command, code, message) => {
  await expect(readSignaturePolicy(query(command))).rejects.toMatchObject({
    ...{ code, retryable: true },
    message: expect.stringMatching(message),
  })
})
