import { accessSync, constants, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { SetupError, say, succeeds } from '../run.mjs'
import {
  CACHE,
  CONTAINERD,
  CONTAINERD_1_7,
  CRI_TOOLS,
  ETCD,
  HELM,
  KUBERNETES,
  OLDEST_API_SERVER,
  OLDEST_KUBELET,
} from './programs.mjs'
import { followGo, LIST_FORMAT } from './progress.mjs'
import { findGo, GO_VERSION } from './toolchain.mjs'

const FAMILIES = [
  { ...KUBERNETES, flags: ['-ldflags', `-s -w ${versionStamp(KUBERNETES.version)}`] },
  { ...ETCD, flags: ['-ldflags', '-s -w'] },
  { ...CONTAINERD, flags: ['-tags', 'no_btrfs', '-ldflags', '-s -w'] },
  { ...HELM, flags: ['-ldflags', '-s -w'] },
]

const CONFORMANCE_FAMILIES = [
  { ...CONTAINERD_1_7, flags: ['-tags', 'no_btrfs', '-ldflags', '-s -w'] },
  { ...CRI_TOOLS, flags: ['-ldflags', `-s -w -X sigs.k8s.io/cri-tools/pkg/version.Version=${CRI_TOOLS.version}`] },
]

const OLDEST_FAMILIES = [OLDEST_KUBELET, OLDEST_API_SERVER].map(family => ({
  ...family,
  flags: ['-ldflags', `-s -w ${versionStamp(family.version)}`],
}))

/** Whether the cache has the programs that are built from Go modules. */
export function goProgramsAreThere() {
  return FAMILIES.every(isBuilt)
}

export function conformanceProgramsAreThere() {
  return CONFORMANCE_FAMILIES.every(isBuilt)
}

/** Builds the programs of the test cluster into the cache. Several set-ups may do this at the same time. */
export function buildGoPrograms() {
  return buildFamilies(FAMILIES)
}

export function buildConformancePrograms() {
  return buildFamilies(CONFORMANCE_FAMILIES)
}

export function oldestKubernetesIsThere() {
  return OLDEST_FAMILIES.every(isBuilt)
}

export function buildOldestKubernetes() {
  return buildFamilies(OLDEST_FAMILIES)
}

async function buildFamilies(families) {
  try {
    mkdirSync(CACHE, { recursive: true })
  } catch (error) {
    throw new SetupError(`cannot make the folder for the programs of the test cluster: ${error.message}`)
  }
  removeLeftovers()
  const caches = join(CACHE, `go-caches${PART}${process.pid}`)
  try {
    const go = await findGo(caches)
    for (const family of families.filter(one => !isBuilt(one))) await build(go, family)
  } finally {
    rmSync(caches, { recursive: true, force: true })
  }
}

/** The kubelet does not start without a version. */
function versionStamp(version) {
  const [major, minor] = version.slice(1).split('.')
  const values = { gitVersion: version, gitMajor: major, gitMinor: minor }
  return Object.entries(values)
    .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    .join(' ')
}

function isBuilt({ dir, programs }) {
  return programs.every(program => {
    try {
      accessSync(join(dir, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

async function build(go, { name, version, source, dir, flags }) {
  say(`building ${name} ${version} into ${dir}: this takes some minutes, once`)
  const parts = `${dir}${PART}${process.pid}`
  rmSync(parts, { recursive: true, force: true })
  mkdirSync(parts)
  const options = ['-C', source, '-trimpath', '-buildvcs=false', ...flags]
  // The caller's settings must not change the result. Those for proxies and caches stay.
  const env = { CGO_ENABLED: '0', GOFLAGS: '-modcacherw', GOWORK: 'off', GOOS: 'linux', GOARCH: '', ...go.env }
  const { readLine, errors } = followGo()
  const runs = (command, ...args) => succeeds(go.command, [command, ...options, ...args], { env, readLine })
  let isDone = false
  try {
    isDone =
      (await runs('list', '-deps', '-f', LIST_FORMAT, 'tool')) && (await runs('build', '-v', '-o', `${parts}/`, 'tool'))
  } finally {
    if (!isDone) rmSync(parts, { recursive: true, force: true })
  }
  if (!isDone) {
    throw new SetupError(
      `cannot build ${name} with Go ${GO_VERSION}, for which the Go module proxy must be in reach:\n${errors.slice(-10).join('\n')}`,
    )
  }
  takePlace(parts, dir)
}

const PART = '.part-'
const DAY_MS = 86_400_000

/** Another set-up may have built the same folder meanwhile, and its programs may be in use. Only an incomplete folder is replaced. */
function takePlace(parts, dir) {
  try {
    renameSync(parts, dir)
  } catch (error) {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    for (const program of readdirSync(parts)) renameSync(join(parts, program), join(dir, program))
    rmSync(parts, { recursive: true })
  }
}

/** Removes what interrupted set-ups left. */
function removeLeftovers() {
  for (const name of readdirSync(CACHE).filter(entry => entry.includes(PART))) {
    const path = join(CACHE, name)
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0)
    if (age > DAY_MS) rmSync(path, { recursive: true, force: true })
  }
}
