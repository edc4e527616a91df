/** A figure that `npm run bench` measures. */
export interface Figure {
  /** Missing: a ratio. */
  readonly unit?: string
  /** Missing: the figure is for information. */
  readonly aim?: Aim
  readonly meaning: string
}

export type Aim = `${'<' | '<=' | '=' | '>='} ${number}`

/** All figures, by the group that measures them together. `docs/reference/figures.md` has a section for each group. */
export const FIGURES = {
  start: {
    start: {
      unit: 'ms',
      aim: '< 400',
      meaning: 'start of the process until the first answer, the least of ten starts',
    },
  },
  passthrough: {
    'passthrough.p50.ratio': { aim: '<= 2.5', meaning: 'median latency at rest: through the shim / direct' },
    'passthrough.calls.ratio': {
      aim: '>= 0.3',
      meaning: 'calls per second of 50 concurrent callers: through the shim / direct',
    },
    'passthrough.p99.importing.loaded.ratio': {
      aim: '<= 1.5',
      meaning: 'p99 latency while archives are imported: through the shim / direct',
    },
    'passthrough.p99.linking.loaded.ratio': {
      aim: '<= 1.5',
      meaning: 'p99 latency while images of store paths are imported: through the shim / direct',
    },
    'passthrough.p99.importing.ratio': {
      meaning: 'p99 latency through the shim: while archives are imported / at rest',
    },
    'passthrough.p99.linking.ratio': {
      meaning: 'p99 latency through the shim: while images of store paths are imported / at rest',
    },
  },
  rss: {
    'rss.idle': { unit: 'MB', aim: '< 80', meaning: 'resident memory after 200 calls without a recipe' },
    'rss.kubernetes': { unit: 'MB', aim: '< 95', meaning: 'the same with `kubernetes:` in the config' },
    'rss.importing': { unit: 'MB', aim: '< 150', meaning: 'peak while a 1 GB archive is imported, with helpers' },
  },
  import: {
    'import.linked.limit.ratio': {
      aim: '<= 2.2',
      meaning: 'first import of a 1.08 GB image, linked / `cp -al` of the same store paths',
    },
    'import.linked.changed': {
      unit: 'ms',
      aim: '< 100',
      meaning: 'import of that image with a changed top layer, linked',
    },
    'import.linked.changed.speedup': { aim: '>= 150', meaning: 'the same: `ctr images import` / shim' },
    'import.linked.first.speedup': { meaning: 'first import, linked: `ctr images import` / shim' },
    'import.linked.disk.ratio': { aim: '<= 0.05', meaning: 'added disk use, linked: shim / `ctr images import`' },
    'import.tar.first.speedup': { aim: '>= 2.5', meaning: 'first import as tars: `ctr images import` / shim' },
    'import.tar.changed.speedup': {
      aim: '>= 30',
      meaning: 'import with a changed top layer as tars: `ctr images import` / shim',
    },
    'import.native.rss': { unit: 'MB', aim: '< 150', meaning: 'peak memory of these imports, with helpers' },
    'import.archive.first.ratio': {
      aim: '<= 0.8',
      meaning: 'first import of a 1 GB archive: shim / `ctr images import`',
    },
    'import.archive.again.ratio': {
      aim: '<= 0.1',
      meaning: 'import of that archive under a second name: shim / `ctr images import`',
    },
  },
  pull: {
    'pull.again': { unit: 'ms', aim: '< 50', meaning: 'median of pulls of an image that is present' },
    'pull.first.overhead': {
      unit: 'ms',
      aim: '< 150',
      meaning: 'median first pull of a tiny image minus evaluation and build of it by hand',
    },
    'pull.parallel.builds': { unit: 'builds', aim: '= 1', meaning: 'builds for 200 concurrent pulls of one image' },
  },
  names: {
    'names.match': { unit: 'µs', aim: '< 100', meaning: 'what 1,000 name rules add to a call' },
    'names.shared.bytes.ratio': {
      aim: '< 0.15',
      meaning: 'disk that an image adds to one with which it shares nine of ten packages / its size',
    },
  },
  cluster: {
    'pod.running.extra': {
      unit: 'ms',
      aim: '< 500',
      meaning: 'what the shim adds to the start of a pod with a built image',
    },
    'controller.writes.per.build': {
      unit: 'writes',
      aim: '<= 8',
      meaning: 'writes to the API server for a build, by shim and controller, Leases excluded',
    },
    'controller.catchup': {
      unit: 's',
      aim: '< 60',
      meaning: 'start of a controller in a cluster full of pods until all have their condition',
    },
    'controller.rss': { unit: 'MB', aim: '< 200', meaning: 'peak memory of that controller' },
    'controller.idle.cpu': { aim: '< 0.01', meaning: 'processors that the controller uses afterwards' },
    'pod.deleted': {
      unit: 's',
      aim: '< 15',
      meaning: 'a pod is deleted during its build, which another pod needs: time until it is gone, less its grace',
    },
  },
  fleet: {
    'fleet.herd.cpu': {
      unit: 's',
      aim: '< 10',
      meaning:
        'processor time of the API server while 200 nodes begin, progress and finish one recipe at the same time',
    },
    'fleet.herd.timeouts': { unit: 'requests', aim: '= 0', meaning: 'requests that time out meanwhile' },
    'fleet.rest.writes': { unit: 'writes', aim: '<= 1', meaning: 'writes per node and minute at rest' },
    'fleet.rest.cpu': {
      unit: 'ms',
      meaning: 'processor time of the API server per node and minute at rest, less what it needs without shims',
    },
    'fleet.catchup': {
      unit: 's',
      aim: '< 240',
      meaning:
        'start of a controller with 5,000 NixNodes, 20,000 annotated Pods and 2,000 recipes until every NixBuild and condition is right',
    },
    'fleet.catchup.cpu': { unit: 's', meaning: 'processor time of the API server meanwhile' },
    'fleet.controller.rss': { unit: 'MB', aim: '< 350', meaning: 'peak memory of that controller' },
    'fleet.relist': {
      unit: '%',
      aim: '< 5',
      meaning: 'bytes that it reads after the API server was unreachable for 30 s / all that it reads when it begins',
    },
  },
  share: {
    'share.builds': {
      unit: 'builds',
      aim: '= 1',
      meaning: 'builds of one recipe that three nodes pull at the same time',
    },
    'share.second.ratio': {
      aim: '<= 0.25',
      meaning: 'pull of an image of 300 MB that another node has built in 20 s / the same built by the node itself',
    },
    'share.copy.rate': {
      aim: '<= 1.3',
      meaning: 'copying and importing that image / `nix copy` of its 30 store paths alone',
    },
    'share.wait.requests': {
      unit: 'requests',
      aim: '<= 6',
      meaning: 'requests to the API server by a node that waits for a build of 60 s on another one, until it ends',
    },
    'share.overhead': {
      unit: 'ms',
      aim: '< 50',
      meaning: 'what `share` in the config adds to the first pull of a tiny image that the node builds itself',
    },
  },
  attack: {
    'attack.p99.ratio': {
      aim: '<= 2',
      meaning: 'p99 latency beside the worst hostile build, evaluation or archive / beside an honest build',
    },
    'attack.stall': { unit: 'ms', aim: '< 250', meaning: 'longest call beside them' },
    'attack.rss': { unit: 'MB', aim: '< 40', meaning: 'memory that they add to the shim at rest' },
  },
  storm: {
    'rss.storm': {
      unit: 'MB',
      aim: '< 180',
      meaning: 'peak memory while 20 callers pull 30 recipes and daemons are killed, with helpers',
    },
  },
  soak: {
    'soak.minutes': { unit: 'min', meaning: 'time for which forty pods come and go' },
    'soak.rss.growth': {
      aim: '<= 1.05',
      meaning: 'median memory in the last quarter / in the second one, of shim or controller, whichever grows more',
    },
    'soak.build.longest': {
      unit: 's',
      aim: '< 60',
      meaning: 'longest build, from its place in the queue until its image was there',
    },
    'soak.failed': {
      unit: 'pulls',
      aim: '= 0',
      meaning: 'failed pulls, except those that a restart of the shim ended',
    },
    'soak.late': {
      unit: 'pods',
      aim: '= 0',
      meaning: 'pods that waited longer than for their build and 15 s, or 30 s for the retry of a call to containerd',
    },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Figure>>>>

export type Group = keyof typeof FIGURES

export type Values<G extends Group> = Readonly<Record<keyof (typeof FIGURES)[G], number>>
