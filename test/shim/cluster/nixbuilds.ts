import { type NixBuild, type NixBuildStatus, nixBuilds } from '../../../kube/resources/nixbuild.ts'

interface Making {
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly created?: string
  readonly spec?: Partial<NixBuild['spec']>
  readonly status?: Partial<NixBuildStatus>
}

/** As the API server would send it. */
export function nixBuild({ name = 'web', labels = {}, created = '2026-01-01T00:00:00Z', spec, status }: Making = {}) {
  return nixBuilds.parse({
    metadata: {
      name,
      namespace: 'team',
      uid: name,
      resourceVersion: '1',
      generation: 1,
      labels,
      creationTimestamp: created,
    },
    spec: {
      flakeUrl: 'github:team/app',
      imageTag: 'registry.example/team/app:1',
      packageName: 'image',
      system: 'x86_64-linux',
      ...spec,
    },
    status,
  })
}
