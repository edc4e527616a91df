import { describe, expect, it } from 'vitest'
import { nixBuilds } from '../../../../kube/resources/nixbuild.ts'
import { pods } from '../../../../kube/resources/pod.ts'
import { buildsOfPod, nameBuilds } from '../../../../shim/kubectl/pod/pod-builds.ts'

const IMAGE = 'registry.example/team/app:1'
const OTHER_IMAGE = 'registry.example/team/other:1'
const X86 = 'x86_64-linux'
const ARM = 'aarch64-linux'
const metadata = { uid: '1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z', namespace: 'team' }
const ANNOTATIONS = {
  'enbi.hrzn.ee/nixbuild-flakeUrl': 'github:team/app',
  'enbi.hrzn.ee/nixbuild-imageTag': IMAGE,
  'enbi.hrzn.ee/nixbuild-packageName': 'app',
}

function podOf({ node = 'node-1', annotations = {} }: { node?: string | null; annotations?: object } = {}) {
  const containers = [IMAGE, OTHER_IMAGE].map((image, index) => ({ name: `app-${index}`, image }))
  const spec = { ...(node !== null && { nodeName: node }), containers }
  return pods.parse({ metadata: { ...metadata, name: 'web', annotations }, spec })
}

function build(name: string, spec: object = {}, status: object = {}) {
  const recipe = { flakeUrl: 'github:team/app', imageTag: IMAGE, packageName: 'app', system: X86 }
  return nixBuilds.parse({ metadata: { ...metadata, name }, spec: { ...recipe, ...spec }, status })
}

const own = build('own')
const arm = build('arm', { system: ARM })

function namesOf(...args: Parameters<typeof buildsOfPod>) {
  const { builds, others, doubt } = buildsOfPod(...args)
  const names = (all: typeof builds) => all.map(({ metadata }) => metadata.name).join(' ')
  return { builds: names(builds), others: names(others), doubt }
}

describe('the NixBuilds of a pod', () => {
  it('are those of its images, unless an annotation has another recipe', () => {
    const another = build('another', { packageName: 'another' })
    const elsewhere = build('elsewhere', { imageTag: 'registry.example/team/elsewhere:1' })
    const all = [own, another, elsewhere]
    expect(namesOf(podOf({ annotations: ANNOTATIONS }), all, X86)).toMatchObject({ builds: 'own', others: '' })
    expect(namesOf(podOf(), all, X86)).toMatchObject({ builds: 'own another', others: '' })
  })

  it.each([
    [X86, 'own', 'arm'],
    [ARM, 'arm', 'own'],
    ['riscv64-linux', '', 'own arm'],
  ])('are those for %s, if its node has that system', (system, builds, others) => {
    for (const annotations of [{}, ANNOTATIONS])
      expect(namesOf(podOf({ annotations }), [own, arm], system)).toEqual({ builds, others })
  })

  it('are those for the system of the NixBuilds that name its node, if the system is not known otherwise', () => {
    for (const status of [
      { status: 'Building', buildNode: 'node-1' },
      { status: 'Importing', buildNode: 'node-1' },
      { status: 'Succeeded', buildNode: 'node-1' },
      { ready: { count: 3, nodes: ['node-2', 'node-1'] } },
      { building: { count: 1, nodes: ['node-1'] } },
    ]) {
      const other = build('other', { imageTag: OTHER_IMAGE, system: ARM }, status)
      expect(namesOf(podOf(), [own, arm, other], undefined)).toEqual({ builds: 'arm other', others: 'own' })
    }
    const elsewhere = build('elsewhere', { system: ARM }, { status: 'Building', buildNode: 'node-2' })
    expect(namesOf(podOf(), [own, elsewhere], undefined).doubt).toBeDefined()
  })

  it('are in doubt if the only NixBuild that names its node failed there, as a node refuses other systems', () => {
    for (const status of [
      { failed: { count: 1, nodes: ['node-1'] } },
      { status: 'Failed', buildNode: 'node-1' },
      { status: 'Pending', buildNode: 'node-1' },
    ]) {
      const refused = build('refused', { system: ARM }, status)
      expect(namesOf(podOf(), [own, refused], undefined)).toMatchObject({ builds: 'own refused', doubt: {} })
    }
  })

  it('are in doubt if nothing says the system and an image has NixBuilds for several', () => {
    expect(namesOf(podOf(), [own, arm], undefined)).toEqual({
      builds: 'own arm',
      others: '',
      doubt: {
        text: `${IMAGE} has the NixBuilds own for x86_64-linux and arm for aarch64-linux, and the system of node-1 cannot be read from its NixNode or its Node`,
        isEarly: false,
      },
    })
    expect(namesOf(podOf({ node: null }), [own, arm], undefined).doubt).toMatchObject({
      text: expect.stringMatching(/, and the pod has no node yet$/),
      isEarly: true,
    })
    const other = build('other', { imageTag: OTHER_IMAGE, system: ARM })
    expect(namesOf(podOf(), [own, other], undefined)).toEqual({ builds: 'own other', others: '', doubt: undefined })
  })

  it('are named up to a limit', () => {
    expect(nameBuilds(Array(6).fill(own))).toMatch(/^(own for x86_64-linux, ){4}and 2 more$/)
  })
})
