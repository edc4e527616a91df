import { describe, expect, it } from 'vitest'
import type { RequestedBuild } from '../../../controller/plan/image-built.ts'
import { type PodImageRequest, podRequests } from '../../../controller/plan/pod-requests.ts'
import { furthestBuild, reportedBuilds } from '../../../controller/plan/reported-builds.ts'
import type { NixBuildView } from '../../../controller/views/nixbuild.ts'
import { someBuild, someEntry, somePod } from '../views.ts'

const [request] = podRequests(somePod(), 'x86_64-linux').requests
if (request === undefined) throw new Error('the pod requests nothing')
const SUCCEEDED = { status: 'Succeeded', buildNode: 'node-1' }
const BUILDING = { status: 'Building', buildNode: 'node-1' }

describe('of several NixBuilds of one recipe', () => {
  const named = (name: string, status?: string, metadata: object = {}): NixBuildView =>
    someBuild({ metadata: { name, ...metadata }, status: { status } })
  it.each([
    ['the finished one', [named('a', 'Building'), named('b', 'Succeeded')], 'b'],
    ['the running one', [named('a', 'Pending'), named('b', 'Building')], 'b'],
    ['the one that may still run', [named('a', 'Failed'), named('b')], 'b'],
    ['the first by name of equals', [named('b'), named('a')], 'a'],
    ['the older of equals', [named('a', 'Pending', { creationTimestamp: '2026-02-01T00:00:00Z' }), named('b')], 'b'],
    [
      'one that is not being deleted',
      [named('a', 'Succeeded', { deletionTimestamp: '2026-02-01T00:00:00Z' }), named('b', 'Failed')],
      'b',
    ],
  ])('%s is reported', (_name, builds, name) => {
    expect(furthestBuild(builds)?.name).toBe(name)
  })

  it('none is reported if there is none', () => {
    expect(furthestBuild([])).toBeUndefined()
  })
})

describe('of an image whose name is the recipe', () => {
  const namedRequest = (key: string): PodImageRequest => {
    const { image, system } = request.recipe
    return { key, recipe: { key, image, system, text: 'x' }, started: false, pulled: true, named: true }
  }
  const of = (packageName: string, status?: object) => ({
    request: namedRequest(packageName),
    build: status && someBuild({ spec: { packageName }, status }),
  })
  const reported = (...requested: readonly RequestedBuild[]) =>
    reportedBuilds(requested, 'node-1').map(({ request: { key } }) => key)

  it.each([
    ['the running build rather than that of an older rule', [of('old', SUCCEEDED), of('new', BUILDING)], ['new']],
    ['the built image rather than a failure', [of('old', { status: 'Failed' }), of('new', SUCCEEDED)], ['new']],
    ['nothing if its NixBuild was just removed', [of('old')], []],
  ])('a pod reports %s', (_, requested, expected) => {
    expect(reported(...requested)).toEqual(expected)
  })

  it("a pod reports a NixBuild for what a node has told only if the pod's node builds or has the image", () => {
    const byShim = (status: object) => {
      const labels = { 'app.kubernetes.io/managed-by': 'enbi-shim' }
      return { ...of('app'), build: someBuild({ metadata: { labels }, status }) }
    }
    const elsewhere = { status: 'Building', buildNode: 'node-2' }
    expect(reported(byShim(elsewhere))).toEqual([])
    expect(reported(byShim({ ...elsewhere, buildNode: 'node-1' }))).toEqual(['app'])
    expect(reported({ ...byShim(elsewhere), entry: someEntry('node-1', { state: 'Present' }) })).toEqual(['app'])
  })

  it('a pod reports what its node works on', () => {
    const here = { ...of('here', { status: 'Pending' }), entry: someEntry('node-1', { state: 'Building' }) }
    expect(reported(of('elsewhere', { ...BUILDING, buildNode: 'node-2' }), here)).toEqual(['here'])
  })

  it('a pod reports one build, and each one for annotations', () => {
    const other = { ...of('b', SUCCEEDED), request: { ...request, key: 'annotated' } }
    expect(reported(other, of('a', SUCCEEDED), of('b', BUILDING))).toEqual(['annotated', 'b'])
  })
})
