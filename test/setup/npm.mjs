import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SetupError, say, succeeds, TOP } from './run.mjs'

/** npm writes this file at the end of an installation. */
const RECORD = join(TOP, 'node_modules/.package-lock.json')
const LOCK = join(TOP, 'package-lock.json')

/** Whether the installed packages are those of the lock file. Most optional packages are for other platforms. */
export function npmPackagesAreThere() {
  if (!existsSync(RECORD) || !existsSync(join(TOP, 'node_modules/.bin/node'))) return false
  const [installed, wanted] = [RECORD, LOCK].map(file => JSON.parse(readFileSync(file, 'utf8')).packages)
  return Object.entries(wanted)
    .filter(([path, { optional }]) => path !== '' && !(optional && installed[path] === undefined))
    .every(([path, { version }]) => installed[path]?.version === version)
}

/** Major and minor version of the oldest Node that all packages accept. */
const OLDEST_NODE = [22, 18]

export async function installNpmPackages() {
  say('installing the npm packages of package-lock.json into node_modules')
  await install()
  // An older Node makes npm leave out optional packages that do not accept it, native parts among them.
  // The first run has installed a newer Node, which npm finds first.
  if (isOld(process.versions.node)) await install()
}

/** `npm ci` would reject a lock file that lacks the optional packages of other platforms. */
async function install() {
  const path = [join(TOP, 'node_modules/.bin'), process.env.PATH].join(':')
  // `npm pack` and `npm run` pass their own settings on in the environment.
  const args = [
    'install',
    '--no-save',
    '--include=dev',
    '--no-fund',
    '--no-audit',
    '--loglevel=http',
    '--dry-run=false',
  ]
  let fetched = 0
  const readLine = line => {
    if (/^npm (error|ERR!)/.test(line)) console.error(line)
    if (/^npm http .*\.tgz\b/.test(line)) fetched += 1
    return fetched === 0 ? undefined : `${fetched} packages fetched`
  }
  if (!(await succeeds('npm', args, { env: { PATH: path }, readLine })))
    throw new SetupError('npm install failed (above); it needs a network')
}

function isOld(version) {
  const [major, minor] = version.split('.').map(Number)
  return major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])
}
