import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { SetupError, say, succeeds, TOP } from './run.mjs'

/** Written by npm at the end of an installation. */
const RECORD = join(TOP, 'node_modules/.package-lock.json')

/** Are the installed packages those of the lock file? */
export function npmPackagesAreThere() {
  if (!existsSync(RECORD) || !existsSync(join(TOP, 'node_modules/.bin/node'))) return false
  return statSync(RECORD).mtimeMs >= statSync(join(TOP, 'package-lock.json')).mtimeMs
}

/** Not `npm ci`: it refuses a lock file that lacks the optional packages of other platforms. */
export function installNpmPackages() {
  say('installing the npm packages of package-lock.json into node_modules')
  const args = ['install', '--no-save', '--include=dev', '--no-fund', '--no-audit', '--loglevel=error']
  if (!succeeds('npm', args)) throw new SetupError('npm install failed (above); it needs a network: run it again')
}
