import { execa } from 'execa'
import { expect, it } from 'vitest'

const MODULE = new URL('../../lib/logger.ts', import.meta.url).href
const script = (body: string) => ['--input-type=module', '-e', `import { createLogger } from '${MODULE}'; ${body}`]

it('a log that cannot be written does not stop the daemon', async () => {
  const body =
    "const log = createLogger('info'); log.info('lost'); setImmediate(() => { log.info('too'); console.log('alive') })"
  const { stdout } = await execa('sh', ['-c', 'exec "$0" "$@" 2>/dev/full', process.execPath, ...script(body)])
  expect(stdout).toBe('alive')
})

it('credentials are not logged, regardless of their place', async () => {
  const body = "createLogger('info').info({ auth: { password: 'secret' }, call: { registryToken: 'secret' } }, 'call')"
  const { stderr } = await execa(process.execPath, script(body))
  expect(stderr).toContain('[redacted]')
  expect(stderr).not.toContain('secret')
})
