import { expect, it } from 'vitest'
import { parseConfig } from '../../../shim/config/config.ts'
import { checkCredentials } from '../../../shim/doctor/check-credentials.ts'
import '../../lanes/needs-root.ts'

const signal = AbortSignal.timeout(60_000)

it('doctor reports a missing credential file', async () => {
  const some = parseConfig('nix: { credentials: { netrc: /dev/null/x, sshKey: /none/key } }', 'config.yaml')
  expect(await checkCredentials(some).look(signal)).toMatchObject({
    outcome: 'failed',
    text: expect.stringMatching(/ENOTDIR.*; ENOENT: .*'\/none\/key'/),
  })
  const none = parseConfig('', 'config.yaml')
  expect(await checkCredentials(none).look(signal)).toEqual({ outcome: 'ok', text: 'the config has no credentials' })
})
