import { CONTROLLER_PROGRAM, SHIM_PROGRAM } from '../../bench/fixtures/node.ts'
import { claimPort } from '../../test/cluster/claims.ts'
import { startWorld } from '../../test/controller/world.ts'
import { type Bed, startBed } from '../../test/node/bed.ts'
import { copyExample } from '../../test/node/example.ts'
import { recipePull } from '../../test/node/recipe-pull.ts'

/** A shim and a controller that serve metrics. */
export interface ScrapedParts extends AsyncDisposable {
  readonly bed: Bed
  /** `HOST:PORT` */
  readonly shim: string
  readonly controller: string
  /** Has them do, again, everything that a panel of the dashboard shows: also what fails. */
  work(): Promise<void>
}

export async function startScrapedParts(): Promise<ScrapedParts> {
  await using parts = new AsyncDisposableStack()
  const world = parts.use(await startWorld())
  const controller = parts.use(await world.cluster.startController(CONTROLLER_PROGRAM))
  const bed = parts.use(await startBed())
  const address = `127.0.0.1:${await claimPort()}`
  const policy = [{ namespaces: ['team-*'], images: ['**'], flakes: ['path:/**'] }]
  const shim = await bed.startShim({ ...SHIM_PROGRAM, config: { policy, metrics: { address } } })
  const [formats, failures] = [await copyExample('formats', bed.dir), await copyExample('failures', bed.dir)]
  const kubelet = bed.cri(shim.socket)
  const [node, namespace] = [await world.addNode(), await world.createNamespace()]
  await world.addPod(namespace, node)
  let rounds = 0

  const pull = async (packageName: string, { url: flakeUrl } = formats, kubernetesNamespace = 'team-a') => {
    const recipe = { image: `registry.example/scraped/${packageName}:${rounds}`, flakeUrl, packageName }
    await kubelet.pullImage({ ...recipePull(recipe), namespace: kubernetesNamespace, podName: 'web' }).catch(() => {})
  }
  const kept = parts.move()
  return {
    bed,
    shim: address,
    controller: new URL(controller.url).host,
    async work() {
      rounds += 1
      await pull('docker-archive')
      await pull('no-evaluation', failures)
      await pull('no-image')
      await pull('stream', formats, 'other')
      await kubelet.imageStatus(`registry.example/none:${rounds}`)
      await world.addPod(namespace, node)
      // Without its rights the controller fails to write what it reads by streams that it has already opened.
      await world.cluster.kubectl(['delete', 'clusterrolebinding', 'enbi-controller', '--ignore-not-found'])
      await world.addPod(await world.createNamespace(), node)
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
