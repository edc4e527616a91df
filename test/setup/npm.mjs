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

export function installNpmPackages() {
  say('installing the npm packages of package-lock.json into node_modules (npm ci)')
  // Packages such as Node itself differ by platform and are brought by their install scripts.
  if (!succeeds('npm', ['ci', '--no-fund', '--no-audit', '--include=dev'])) {
    throw new SetupError('npm ci failed (above); with a network and npm, run it again')
  }
}
