import type { LabelSelector } from '../../kube/resources/label-selector.ts'
import type { NixBuildSpec, NixBuildStatus } from '../../kube/resources/nixbuild.ts'

export const SPEC: NixBuildSpec = {
  flakeUrl: 'git+https://git.example:8443/team/app?dir=sub&ref=main',
  imageTag: 'registry.example:5000/team/app:1.0',
  packageName: 'images."web.v2"',
  system: 'x86_64-linux',
}

/** The same for a package set. */
export const SET_SPEC: NixBuildSpec = {
  flakeUrl: SPEC.flakeUrl,
  imageTag: SPEC.imageTag,
  contents: ['curl', 'python3Packages."requests"'],
  system: SPEC.system,
}

/** Nodes that get the image before any pod. */
export const NODES: Complete<LabelSelector> = {
  matchLabels: { 'example.com/pool': 'web' },
  matchExpressions: [
    { key: 'zone', operator: 'In', values: ['a', 'b'] },
    { key: 'spot', operator: 'DoesNotExist', values: [] },
  ],
}

const TIME = '2026-01-02T03:04:05Z'

/** Every field of the types. The compiler reports those that are missing here. */
export const FULL_STATUS: Complete<NixBuildStatus> = {
  status: 'Failed',
  observedGeneration: 1,
  conditions: [
    {
      type: 'Success',
      status: 'False',
      observedGeneration: 1,
      reason: 'ResultFailure',
      message: 'it\ndid not work',
      lastTransitionTime: TIME,
    },
  ],
  buildNode: 'node-1',
  buildJobName: '20260102-030405-abcdef',
  imageDigest: `sha256:${'0'.repeat(64)}`,
  imageSize: 5_000_000_000,
  storePath: '/nix/store/00000000000000000000000000000000-app',
  lockedFlakeUrl: 'git+https://git.example:8443/team/app?dir=sub&rev=0123456789012345678901234567890123456789',
  startTime: TIME,
  completionTime: TIME,
  progress: 'building 3 of 7: hello-2.12',
  logTail: 'one\ntwo',
  ready: { count: 7, nodes: ['node-1', 'node-2'] },
  building: { count: 1, nodes: ['node-3'] },
  failed: { count: 1, nodes: ['node-4'] },
  selected: { count: 9, nodes: ['node-1', 'node-2'] },
  missing: { count: 2, nodes: ['node-3', 'node-4'] },
  attempts: [{ node: 'node-0', endTime: TIME, reason: 'it is gone' }],
}

/** Every optional field is required. */
export type Complete<T> = T extends readonly (infer Item)[]
  ? Complete<Item>[]
  : T extends object
    ? { [Key in keyof T]-?: Complete<Exclude<T[Key], undefined | null>> }
    : T
