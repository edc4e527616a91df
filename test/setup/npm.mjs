import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SetupError, say, succeeds, TOP } from './run.mjs'

/** Written by npm at the end of an installation. */
const RECORD = join(TOP, 'node_modules/.package-lock.json')
const LOCK = join(TOP, 'package-lock.json')

/** Are the installed packages those of the lock file? Optional ones are for other platforms, mostly. */
export function npmPackagesAreThere() {
  if (!existsSync(RECORD) || !existsSync(join(TOP, 'node_modules/.bin/node'))) return false
  const [installed, wanted] = [RECORD, LOCK].map(file => JSON.parse(readFileSync(file, 'utf8')).packages)
  return Object.entries(wanted)
    .filter(([path, { optional }]) => path !== '' && !(optional && installed[path] === undefined))
    .every(([path, { version }]) => installed[path]?.version === version)
}

/** Major and minor number of the oldest Node that all packages accept. */
const OLDEST_NODE = [22, 18]

export async function installNpmPackages() {
  say('installing the npm packages of package-lock.json into node_modules')
  await install()
  // Under an older Node npm leaves out what is optional and does not accept it: native parts, for one.
  // Now there is a newer one among the packages, and npm finds it first.
  if (isOld(process.versions.node)) await install()
}

/** Not `npm ci`: it refuses a lock file that lacks the optional packages of other platforms. */
async function install() {
  const path = [join(TOP, 'node_modules/.bin'), process.env.PATH].join(':')
  // Whoever packs or builds has told npm other things, which come in the environment.
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
