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

/** Major and minor number of the oldest Node that all packages accept. */
const OLDEST_NODE = [22, 18]

export function installNpmPackages() {
  say('installing the npm packages of package-lock.json into node_modules')
  install()
  // Under an older Node npm leaves out what is optional and does not accept it: native parts, for one.
  // Now there is a newer one among the packages, and npm finds it first.
  if (isOld(process.versions.node)) install()
}

/** Not `npm ci`: it refuses a lock file that lacks the optional packages of other platforms. */
function install() {
  const path = [join(TOP, 'node_modules/.bin'), process.env.PATH].join(':')
  const args = ['install', '--no-save', '--include=dev', '--no-fund', '--no-audit', '--loglevel=error']
  if (!succeeds('npm', args, { PATH: path })) throw new SetupError('npm install failed (above); it needs a network')
}

function isOld(version) {
  const [major, minor] = version.split('.').map(Number)
  return major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])
}
