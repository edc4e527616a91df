import { readFile } from 'node:fs/promises'
import { hostname, totalmem } from 'node:os'
import { closest, distance } from 'fastest-levenshtein'
import * as v from 'valibot'
import { parseDocument } from 'yaml'
import { MAX_SHIM_LEASE_MS } from '../../kube/resources/lease.ts'
import { hasCode } from '../../lib/error-code.ts'
import { FinalError, messageOf } from '../../lib/errors.ts'
import { parseListenAddress } from '../../lib/http/listen-address.ts'
import { parseDuration } from '../../lib/text/duration.ts'
import { formatSize, parseSize } from '../../lib/text/size.ts'
import { nameRules } from '../../recipes/names/name-rules.ts'
import { isForPackageSets, isForStorePaths } from '../../recipes/policy/policy.ts'
import { DEFAULT_SOCKET } from './defaults.ts'
import { nixOptions } from './nix-options.ts'

const absolutePath = v.pipe(v.string(), v.regex(/^\/[^\0]*$/, 'expected an absolute path'))
const pattern = v.pipe(v.string(), v.nonEmpty('expected a pattern'))
const patterns = v.pipe(v.array(pattern), v.nonEmpty('expected at least one pattern'))
const duration = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const milliseconds = parseDuration(dataset.value)
    if (milliseconds !== undefined) return milliseconds
    addIssue({ message: 'expected a duration such as 30s, 5m or 1h, of 24 days at most' })
    return NEVER
  }),
)
const size = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const bytes = parseSize(dataset.value)
    if (bytes !== undefined) return bytes
    addIssue({ message: 'expected a size such as 500MiB or 20GiB' })
    return NEVER
  }),
)
const listenAddress = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const address = parseListenAddress(dataset.value)
    if (address) return address
    addIssue({ message: 'expected HOST:PORT, as in 127.0.0.1:9469' })
    return NEVER
  }),
)
const policyRule = v.pipe(
  v.strictObject({
    namespaces: patterns,
    images: patterns,
    /** Missing in a rule that is for store paths alone. */
    flakes: v.optional(v.array(pattern), []),
    /** Of package sets. Missing: any. */
    contents: v.optional(patterns),
    requireLocked: v.optional(v.boolean(), false),
    replaceForeign: v.optional(v.boolean(), false),
    plainPackages: v.optional(v.boolean(), false),
    /** Of all layers of an image, decompressed. */
    maxImageSize: v.optional(size, '20GiB'),
  }),
  v.forward(
    v.partialCheck(
      [['images'], ['flakes']],
      ({ images, flakes }) => flakes.length > 0 || images.every(isForStorePaths),
      'missing (only a rule whose images all begin with nix:0/ can do without)',
    ),
    ['flakes'],
  ),
  v.forward(
    v.partialCheck(
      [['flakes'], ['contents']],
      ({ flakes, contents }) => contents === undefined || flakes.some(isForPackageSets),
      'it bounds package sets, and none of its flakes begins with packages:',
    ),
    ['contents'],
  ),
)

const MOST_EVAL_MEMORY = 4 * 2 ** 30

/** As many evaluations as run at a time by default stay below MemoryMax of the unit (50%) together. */
function defaultEvalMemory(): string {
  const eighth = 2 ** 20 * Math.floor(totalmem() / 8 / 2 ** 20)
  return formatSize(Math.min(MOST_EVAL_MEMORY, eighth))
}

/** The name of the Node object, as `kubelet --hostname-override` has it. */
const nodeName = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'expected the name of a node, like worker-1.example'),
)

const PROXY_OF_ITSELF = 'expected the socket of another image service, and this is the one that the shim listens at'

const fields = v.strictObject({
  listen: v.optional(absolutePath, DEFAULT_SOCKET),
  stateDir: v.optional(absolutePath, '/var/lib/enbi-shim'),
  containerd: v.optional(
    v.strictObject({
      address: v.optional(absolutePath, '/run/containerd/containerd.sock'),
      snapshotter: v.optional(v.pipe(v.string(), v.nonEmpty()), 'overlayfs'),
      /** Socket of another image service, which gets the calls that are passed on. Missing: containerd itself. */
      imageService: v.optional(absolutePath),
    }),
    {},
  ),
  nix: v.optional(
    v.strictObject({
      command: v.optional(v.pipe(v.string(), v.nonEmpty()), 'nix'),
      /** User that runs nix when the shim itself is root; null keeps root. */
      user: v.optional(v.nullable(v.pipe(v.string(), v.nonEmpty())), 'enbi-shim'),
      maxBuilds: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 3),
      /** Images that a namespace may have queued or under way on this node. */
      maxQueuedPerNamespace: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 100),
      timeout: v.optional(duration, '1h'),
      /** Most that the values of one evaluation may take. */
      maxEvalMemory: v.optional(size, defaultEvalMemory),
      abandonAfter: v.optional(duration, '2m'),
      rememberFailures: v.optional(duration, '30s'),
      options: v.optional(nixOptions, {}),
      /** Files of root's whose content git, ssh and nix are to use. */
      credentials: v.optional(
        v.strictObject({
          netrc: v.optional(absolutePath),
          /** Settings of Nix, as access-tokens. */
          nixConf: v.optional(absolutePath),
          sshKey: v.optional(absolutePath),
          knownHosts: v.optional(absolutePath),
        }),
        {},
      ),
    }),
    {},
  ),
  policy: v.optional(v.array(policyRule), []),
  /** Images whose names are recipes. */
  names: v.optional(nameRules, []),
  /** Whether `flake-github:0/owner/repo` and its like are names of flakes. */
  flakeNames: v.optional(v.boolean(), false),
  import: v.optional(
    v.strictObject({
      /** How layers of store paths get into containerd: without a tar where that is possible, or with one. */
      layers: v.optional(v.picklist(['linked', 'tar']), 'linked'),
      /** Link files of a store that belongs to somebody other than root. */
      trustStore: v.optional(v.boolean(), false),
    }),
    {},
  ),
  /** Missing: the shim knows of no cluster. */
  kubernetes: v.optional(
    v.strictObject({
      /** Missing: the ServiceAccount of the pod that the shim runs in. */
      kubeconfig: v.optional(absolutePath),
      nodeName: v.optional(nodeName, () => hostname().toLowerCase()),
      /** Of the Lease that says that this shim is alive. */
      leaseDuration: v.optional(v.pipe(duration, v.maxValue(MAX_SHIM_LEASE_MS, 'expected at most 10m')), '40s'),
      /** Longest time that a pull without annotations waits for the API server. */
      lookupTimeout: v.optional(duration, '1s'),
      /** Between two looks whether the NixBuild of a running build is still there; gone at two of them, nobody wants it. */
      unwantedCheck: v.optional(duration, '10s'),
    }),
  ),
  /** Missing: neither metrics nor health are served. */
  metrics: v.optional(v.strictObject({ address: v.optional(listenAddress, '127.0.0.1:9469') })),
  shutdownTimeout: v.optional(duration, '30s'),
  log: v.optional(
    v.strictObject({ level: v.optional(v.picklist(['trace', 'debug', 'info', 'warn', 'error']), 'info') }),
    {},
  ),
})

const schema = v.pipe(
  fields,
  v.forward(
    v.partialCheck(
      [['listen'], ['containerd', 'imageService']],
      ({ listen, containerd }) => containerd.imageService !== listen,
      PROXY_OF_ITSELF,
    ),
    ['containerd', 'imageService'],
  ),
)

/** All durations in milliseconds, all sizes in bytes. */
export type Config = v.InferOutput<typeof schema>

/** Reads and checks a config file (YAML, so JSON too). Throws ConfigInvalid that lists every mistake with its key. */
export async function readConfig(file: string): Promise<Config> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    const message = hasCode(cause, 'ENOENT')
      ? `there is no config file ${file}`
      : `cannot read the config file ${file}: ${messageOf(cause)}`
    throw new FinalError('ConfigInvalid', message, { cause })
  }
  return parseConfig(text, file)
}

/** `name` stands for the text in error messages. */
export function parseConfig(text: string, name: string): Config {
  const result = v.safeParse(schema, parseYaml(text, name) ?? {}, { abortEarly: false })
  if (!result.success) throw invalid(name, result.issues.flatMap(describe))
  return deepFreeze(result.output)
}

function parseYaml(text: string, name: string): unknown {
  const document = parseDocument(text, { prettyErrors: true })
  if (document.errors.length > 0) throw invalid(name, document.errors.map(messageOf))
  try {
    return document.toJS()
  } catch (error) {
    // Of an alias that stands for nothing, or for too much.
    throw invalid(name, [messageOf(error)])
  }
}

function invalid(name: string, mistakes: readonly string[]): FinalError {
  return new FinalError('ConfigInvalid', [`${name}:`, ...mistakes.map(mistake => `  ${mistake}`)].join('\n'))
}

function describe(issue: v.BaseIssue<unknown>): string[] {
  const path = v.getDotPath(issue) ?? '(top level)'
  if (issue.type === 'strict_object' && issue.expected === 'never') return unknownKeys(issue)
  if (issue.type === 'strict_object' && issue.received === 'undefined') return [`${path}: missing`]
  return [`${path}: ${issue.message}`]
}

/** Valibot reports the first unknown key of an object alone; here are all of them. */
function unknownKeys(issue: v.BaseIssue<unknown>): string[] {
  const parents = issue.path?.slice(0, -1).map(({ key }) => key) ?? []
  const known = knownKeys(parents)
  const found = Object.keys(issue.path?.at(-1)?.input ?? {})
  return found
    .filter(key => !known.includes(key))
    .map(key => `${[...parents, key].join('.')}: unknown key${suggestion(key, known)}`)
}

/** Beyond this many edits a known key is no likely meaning of an unknown one. */
const MAX_EDITS = 4

function suggestion(key: string, known: readonly string[]): string {
  const nearest = closest(key, [...known])
  const hint = distance(key, nearest) <= MAX_EDITS ? `, did you mean ${nearest}?` : ''
  return `${hint} (known: ${known.join(', ')})`
}

function knownKeys(path: readonly unknown[]): string[] {
  let current: unknown = fields
  for (const key of path) current = child(unwrap(current), key)
  const entries = entriesOf(unwrap(current))
  return entries ? Object.keys(entries) : []
}

function child(current: unknown, key: unknown): unknown {
  if (typeof key === 'number' && hasProperty(current, 'item')) return current.item
  return entriesOf(current)?.[String(key)]
}

function unwrap(current: unknown): unknown {
  return hasProperty(current, 'wrapped') ? unwrap(current.wrapped) : current
}

function entriesOf(current: unknown): Record<string, unknown> | undefined {
  return hasProperty(current, 'entries') && typeof current.entries === 'object' ? { ...current.entries } : undefined
}

function hasProperty<Name extends string>(value: unknown, name: Name): value is Record<Name, unknown> {
  return typeof value === 'object' && value !== null && name in value
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(deepFreeze)
    Object.freeze(value)
  }
  return value
}
