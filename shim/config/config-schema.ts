import { hostname, totalmem } from 'node:os'
import * as v from 'valibot'
import { MAX_SHIM_LEASE_MS } from '../../kube/resources/lease.ts'
import { formatSize } from '../../lib/text/units.ts'
import { nameRules } from '../../recipes/names/name-rules.ts'
import { LAYER_MODES } from '../containerd/services/constants.ts'
import { collectGarbage } from './collect-garbage.ts'
import { DEFAULT_SOCKET } from './defaults.ts'
import { policyRule } from './policy-rule.ts'
import { share } from './share.ts'
import { absolutePath, atLeastOne, duration, listenAddress, nixOptions, nodeName, size } from './value-types.ts'

const containerd = v.strictObject({
  address: v.optional(v.pipe(absolutePath, v.description('Socket of containerd.')), '/run/containerd/containerd.sock'),
  snapshotter: v.optional(
    v.pipe(v.string(), v.nonEmpty(), v.description('Snapshotter that containerd uses for CRI.')),
    'overlayfs',
  ),
  imageService: v.optional(
    v.pipe(
      absolutePath,
      v.metadata({ default: 'containerd itself' }),
      v.description('Socket of another CRI image service that gets the calls that the shim passes on.'),
    ),
  ),
})

const MAX_EVAL_MEMORY = 4 * 2 ** 30

/** Small enough that the default number of concurrent evaluations stays below `MemoryMax` of the unit (50%). */
function defaultEvalMemory(): string {
  const eighth = 2 ** 20 * Math.floor(totalmem() / 8 / 2 ** 20)
  return formatSize(Math.min(MAX_EVAL_MEMORY, eighth))
}

const credentials = v.strictObject({
  netrc: v.optional(v.pipe(absolutePath, v.description('Logins for git and Nix over HTTPS, as a netrc file.'))),
  nixConf: v.optional(
    v.pipe(absolutePath, v.description('Nix settings such as `access-tokens`, as a `nix.conf` file.')),
  ),
  sshKey: v.optional(v.pipe(absolutePath, v.description('Private key for ssh.'))),
  knownHosts: v.optional(v.pipe(absolutePath, v.description('Host keys for ssh, as a `known_hosts` file.'))),
})

/** A run may begin. */
const MIN_HOLD_MS = 1000

const nix = v.strictObject({
  command: v.optional(
    v.pipe(v.string(), v.nonEmpty(), v.description('Program that the shim runs as `nix`: a name in PATH, or a path.')),
    'nix',
  ),
  user: v.optional(
    v.pipe(
      v.nullable(v.pipe(v.string(), v.nonEmpty())),
      v.description('User that runs nix when the shim itself runs as root; `null` means root.'),
    ),
    'enbi-shim',
  ),
  build: v.optional(
    v.pipe(
      v.picklist(['always', 'never']),
      v.description(
        '`never`: this node builds nothing, it only copies what other nodes have built or binary caches have. Needs the section `share`.',
      ),
    ),
    'always',
  ),
  maxBuilds: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(0),
      v.metadata({ type: 'integer, at least 0' }),
      v.description(
        'Concurrent builds; further builds are queued fairly across namespaces, and no namespace gets all places. 0 is the same as `build: never`.',
      ),
    ),
    3,
  ),
  maxQueuedPerNamespace: v.optional(
    v.pipe(atLeastOne, v.description('Images that one namespace may have queued or in progress on this node.')),
    100,
  ),
  timeout: v.optional(v.pipe(duration, v.description('Longest time that one build may take.')), '1h'),
  maxEvalMemory: v.optional(
    v.pipe(
      size,
      v.metadata({ default: "4GiB, or an eighth of the machine's memory if that is less" }),
      v.description('Most memory that the values of one evaluation may take.'),
    ),
    defaultEvalMemory,
  ),
  abandonAfter: v.optional(
    v.pipe(duration, v.description('A build that no request has waited for during this time is cancelled.')),
    '2m',
  ),
  holdPulls: v.optional(
    v.pipe(
      duration,
      v.minValue(MIN_HOLD_MS, 'expected at least 1s'),
      v.metadata({ default: 'unlimited' }),
      v.description(
        'How long a pull of a pod waits before it fails with "still building"; at least 1s. The build continues, and the next pull joins it.',
      ),
    ),
  ),
  rememberFailures: v.optional(
    v.pipe(
      duration,
      v.description('How long a final failure answers further pulls of the same recipe without a new build.'),
    ),
    '30s',
  ),
  options: v.optional(
    v.pipe(
      nixOptions,
      v.metadata({ type: 'map of Nix settings' }),
      v.description('Nix settings, passed to every nix as `--option NAME VALUE`. Secrets are rejected here.'),
    ),
    {},
  ),
  collectGarbage: v.optional(
    v.pipe(collectGarbage, v.description('Has Nix free space when the disk of the store runs low.')),
    {},
  ),
  credentials: v.optional(
    v.pipe(credentials, v.description('Files that only root can read, whose content git, ssh and nix use for builds.')),
    {},
  ),
})

const layers = v.pipe(
  v.picklist(LAYER_MODES),
  v.description(
    'How layers of store paths get into containerd: `linked` makes hard links, `tar` makes tars, as Spegel and `ctr images push` need.',
  ),
)

const kubernetes = v.strictObject({
  kubeconfig: v.optional(
    v.pipe(
      absolutePath,
      v.metadata({ default: 'the ServiceAccount of the pod that the shim runs in' }),
      v.description('Kubeconfig file.'),
    ),
  ),
  nodeName: v.optional(v.pipe(nodeName, v.description('Name of the Node object.')), () => hostname().toLowerCase()),
  leaseDuration: v.optional(
    v.pipe(
      duration,
      v.maxValue(MAX_SHIM_LEASE_MS, 'expected at most 10m'),
      v.description(
        'A shim that has not renewed its Lease for this long is considered dead; at most 10m. It renews it four times in this time.',
      ),
    ),
    '4m',
  ),
  lookupTimeout: v.optional(
    v.pipe(
      duration,
      v.description(
        'Longest time that a pull waits for the API server, if it has no annotations or its flake is not locked.',
      ),
    ),
    '1s',
  ),
  unwantedCheck: v.optional(
    v.pipe(duration, v.metadata({ default: 'none' }), v.description('Has no effect any more. Remove it.')),
  ),
})

/** Every key of the config. The reference page shows its description, its type and its default. */
export const configFields = v.strictObject({
  listen: v.optional(
    v.pipe(absolutePath, v.description('Socket that the shim serves, unless systemd hands it one.')),
    DEFAULT_SOCKET,
  ),
  stateDir: v.optional(
    v.pipe(absolutePath, v.description('Folder for gc roots, results and caches.')),
    '/var/lib/enbi-shim',
  ),
  logDir: v.optional(
    v.pipe(
      absolutePath,
      v.description(
        'Folder for the logs of builds, which only root may read. The kubelet serves what is below `/var/log` to everyone who may read the logs of the node. Logs are in `stateDir` if it cannot be used.',
      ),
    ),
    '/var/log/enbi-shim',
  ),
  shutdownTimeout: v.optional(
    v.pipe(duration, v.description('How long running calls may continue after SIGTERM.')),
    '30s',
  ),
  containerd: v.optional(v.pipe(containerd, v.description('The containerd of the node.')), {}),
  nix: v.optional(v.pipe(nix, v.description('How builds run.')), {}),
  policy: v.optional(
    v.pipe(
      v.array(policyRule),
      v.description(
        'Rules that say what may be built. The first rule that matches decides; without rules nothing is built.',
      ),
    ),
    [],
  ),
  names: v.optional(v.pipe(nameRules, v.description('Rules for images whose names are recipes.')), []),
  flakeNames: v.optional(
    v.pipe(v.boolean(), v.description('Treat names such as `flake-github:0/OWNER/REPO` as recipes.')),
    false,
  ),
  import: v.optional(
    v.pipe(
      v.strictObject({
        layers: v.optional(layers, 'linked'),
        trustStore: v.optional(
          v.pipe(
            v.boolean(),
            v.description('Link files even if the store does not belong to root, as is the case without a Nix daemon.'),
          ),
          false,
        ),
      }),
      v.description('How build results get into containerd.'),
    ),
    {},
  ),
  kubernetes: v.optional(
    v.pipe(kubernetes, v.description('The API server. Without this section the shim works without a cluster.')),
  ),
  share: v.optional(
    v.pipe(
      share,
      v.description(
        'One build for all nodes: the others copy the result. Without this section the node builds everything itself.',
      ),
    ),
  ),
  metrics: v.optional(
    v.pipe(
      v.strictObject({
        address: v.optional(
          v.pipe(listenAddress, v.description('Where `/metrics`, `/healthz` and `/readyz` are served.')),
          '127.0.0.1:9469',
        ),
      }),
      v.description('Metrics and health. Without this section the shim serves neither.'),
    ),
  ),
  log: v.optional(
    v.pipe(
      v.strictObject({
        level: v.optional(
          v.pipe(
            v.picklist(['trace', 'debug', 'info', 'warn', 'error']),
            v.description('Least severe level that is logged.'),
          ),
          'info',
        ),
      }),
      v.description('The log, as JSON lines on standard error.'),
    ),
    {},
  ),
})

export const configSchema = v.pipe(
  configFields,
  v.forward(
    v.partialCheck(
      [['listen'], ['containerd', 'imageService']],
      ({ listen, containerd }) => containerd.imageService !== listen,
      'expected the socket of another image service, and this is the one that the shim listens at',
    ),
    ['containerd', 'imageService'],
  ),
  v.forward(
    v.partialCheck(
      [['nix'], ['share']],
      ({ nix, share }) => share !== undefined || !isFetchOnly(nix),
      'expected the section share, from which a node that builds nothing gets its images',
    ),
    ['nix', 'build'],
  ),
)

/** Whether this node builds nothing. */
export function isFetchOnly({ build, maxBuilds }: { readonly build: string; readonly maxBuilds: number }): boolean {
  return build === 'never' || maxBuilds === 0
}
