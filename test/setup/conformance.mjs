import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { unpackArchives } from './debian-archives.mjs'
import { TOP } from './run.mjs'

/** What only `npm run conformance` needs of Debian. Apart from the other packages, so that no test downloads these. */
const UNPACKED = join(TOP, '.cache/debian-conformance')
const PACKAGES = ['docker-registry', 'prometheus']

export const REGISTRY_PROGRAM = join(UNPACKED, 'usr/bin/docker-registry')
export const PROMETHEUS_PROGRAM = join(UNPACKED, 'usr/bin/prometheus')
export const PROMTOOL_PROGRAM = join(UNPACKED, 'usr/bin/promtool')

export function conformancePackagesAreThere() {
  return [REGISTRY_PROGRAM, PROMETHEUS_PROGRAM, PROMTOOL_PROGRAM].every(isProgram)
}

export async function unpackConformancePackages() {
  const byHand = PACKAGES.map(name => `  ${name} is missing: apt-get install ${name}`)
  await unpackArchives(PACKAGES, UNPACKED, byHand)
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
