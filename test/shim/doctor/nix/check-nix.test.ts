import { expect, it } from 'vitest'
import { parseConfig } from '../../../../shim/config/config.ts'
import { checkNix } from '../../../../shim/doctor/nix/check-nix.ts'
import '../../../lanes/needs-root.ts'

const signal = AbortSignal.timeout(60_000)

it('a missing build user is reported once, and does not hide that nix is missing', async () => {
  const { nix } = parseConfig('nix: { user: nobody-here, command: nix-nowhere }', 'config.yaml')
  const checks = checkNix({ stateDir: '/none', nix }, { env: {}, proc: '/proc' })
  const found = await Promise.all(checks.map(async ({ name, look }) => ({ name, ...(await look(signal)) })))
  expect(found.filter(({ outcome }) => outcome === 'failed')).toEqual([
    {
      ...{ name: 'build user', outcome: 'failed', text: expect.stringContaining('no user "nobody-here"') },
      wayOut: 'useradd --system --user-group nobody-here, or set nix.user',
    },
    {
      name: 'nix',
      outcome: 'failed',
      text: 'nix cannot be run: there is no program nix-nowhere',
      wayOut: expect.anything(),
    },
  ])
  const skipped = found.filter(({ outcome }) => outcome === 'skipped')
  expect(new Set(skipped.map(({ text }) => text))).toEqual(new Set(['the user nobody-here does not exist']))
  expect(skipped).toHaveLength(found.length - 2)
})
