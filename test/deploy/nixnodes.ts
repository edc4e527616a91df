import type { NixNodeSpec, NixNodeStatus } from '../../kube/resources/nixnode.ts'
import { type Complete, SET_SPEC, SPEC } from './nixbuilds.ts'

const TIME = '2026-01-02T03:04:05Z'

/** Either of the two is missing in a recipe; the API server does not mind. */
const RECIPE = { ...SPEC, ...SET_SPEC, packageName: 'app', contents: ['curl'] }

/** Every field of the types. The compiler reports those that are missing here. */
export const FULL_NODE_SPEC: Complete<NixNodeSpec> = {
  assigned: [{ namespace: 'team', name: 'app-0123456789abcdef', key: '0'.repeat(64), recipe: RECIPE }],
  letGo: ['5f3c1e0a-0000-4000-8000-000000000000'],
  namespaces: ['team'],
}

export const FULL_NODE_STATUS: Complete<NixNodeStatus> = {
  observedGeneration: 2,
  shimVersion: '0.1.0',
  system: 'x86_64-linux',
  layerMode: 'linked',
  store: { address: 'http://10.0.0.5:5000', publicKey: 'worker-1:bm8gcmVhbCBrZXk=', maxServed: 4, fetchOnly: false },
  builds: [
    {
      namespace: 'team',
      key: '0'.repeat(64),
      nixBuild: 'app-0123456789abcdef',
      recipe: RECIPE,
      state: 'Failed',
      since: TIME,
      startTime: TIME,
      progress: 'building 3 of 7: hello-2.12',
      buildJobName: '20260102-030405-abcdef',
      imageDigest: `sha256:${'0'.repeat(64)}`,
      imageSize: 5_000_000_000,
      storePath: '/nix/store/00000000000000000000000000000000-app',
      lockedFlakeUrl: 'git+https://git.example/team/app?rev=0123456789012345678901234567890123456789',
      message: 'it\ndid not work',
      retryable: true,
      logTail: 'one\ntwo',
      attempts: 1,
      pods: [{ name: 'web', uid: '5f3c1e0a-0000-4000-8000-000000000000' }],
    },
  ],
}
