import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { judgeSandbox } from '../../../../shim/doctor/nix/sandbox.ts'
import { type Bed, startBed } from '../../../node/bed.ts'
import { runDoctor } from '../run-doctor.ts'

/** Without a daemon, the client's settings apply. */
let bed: Bed
beforeAll(async () => {
  bed = await startBed({ daemon: false, nixSettings: { sandbox: 'true' } })
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

it('doctor detects sandboxed builds, and warns about a store that the build user can change', async () => {
  const path = join(bed.dir, 'config.yaml')
  const { name } = bed.buildUser
  const config = { stateDir: bed.dir, nix: { user: name }, containerd: { address: bed.containerdSocket } }
  await writeFile(path, stringify(config))
  const { of } = await runDoctor(bed, '--config', path)
  expect(of('sandbox')).toEqual({ check: 'sandbox', outcome: 'ok', text: 'builds run in a sandbox' })
  expect(of('nix daemon')).toMatchObject({
    outcome: 'warning',
    text: `there is no Nix daemon: the store belongs to ${name}, so everything that runs as that user can change it`,
  })
})

it.each([
  ['relaxed', 'packages can be built outside the sandbox if they ask for it'],
  ['false', expect.stringContaining('builds run without a sandbox')],
])('doctor warns about a sandbox that is %s', async (sandbox, text) => {
  const finding = judgeSandbox(async args => {
    const options = { user: bed.buildUser, reject: false }
    const { stdout, stderr, exitCode } = await bed.run('nix', [...args, '--option', 'sandbox', sandbox], options)
    return exitCode === 0 ? { stdout } : { problem: stderr, log: stderr }
  })
  await expect(finding).resolves.toMatchObject({ outcome: 'warning', text })
})
