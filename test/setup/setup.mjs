// Brings everything that the demo, the tests and the benchmarks need, and says what it does and how far it is.
// With --packages it brings only the npm packages, which need no root.
// With --cluster it also builds Kubernetes, etcd, containerd and Helm for the test cluster, which takes minutes once.
// With --conformance it also brings what only `npm run conformance` needs: critest, crictl, another
// containerd, a registry and Prometheus. With --oldest-kubernetes it also builds the oldest kubelet and API server
// that are promised, and the API server's scheduler, which takes as long as --cluster.
// Plain JavaScript without packages, because it runs first and under any Node from 18 on.
import { conformancePackagesAreThere, unpackConformancePackages } from './conformance.mjs'
import { debianPackagesAreThere, unpackDebianPackages, whatIsMissing } from './debian.mjs'
import {
  buildConformancePrograms,
  buildGoPrograms,
  buildOldestKubernetes,
  conformanceProgramsAreThere,
  goProgramsAreThere,
  oldestKubernetesIsThere,
} from './go/build.mjs'
import { installNpmPackages, npmPackagesAreThere } from './npm.mjs'
import { SetupError, say } from './run.mjs'

try {
  await setUp()
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  console.error(`setup: ${error.message}`)
  process.exitCode = 1
}

async function setUp() {
  if (process.argv.includes('--packages')) {
    if (!npmPackagesAreThere()) await installNpmPackages()
    return
  }
  if (process.platform !== 'linux') throw new SetupError('Linux is needed, for containerd and its namespaces')
  if (process.getuid() !== 0) {
    const missing = whatIsMissing()
    throw new SetupError(['root is needed, for private mount namespaces: run it with sudo', ...missing].join('\n'))
  }
  await runMissing([
    { what: 'npm packages', isThere: npmPackagesAreThere, bring: installNpmPackages },
    { what: 'Debian packages', isThere: debianPackagesAreThere, bring: unpackDebianPackages },
    ...(process.argv.includes('--cluster')
      ? [{ what: 'Kubernetes, etcd, containerd and Helm', isThere: goProgramsAreThere, bring: buildGoPrograms }]
      : []),
    ...(process.argv.includes('--conformance')
      ? [
          {
            what: 'critest, crictl and containerd 1.7',
            isThere: conformanceProgramsAreThere,
            bring: buildConformancePrograms,
          },
          {
            what: 'a registry and Prometheus',
            isThere: conformancePackagesAreThere,
            bring: unpackConformancePackages,
          },
        ]
      : []),
    ...(process.argv.includes('--oldest-kubernetes')
      ? [{ what: 'the oldest kubelet and API server', isThere: oldestKubernetesIsThere, bring: buildOldestKubernetes }]
      : []),
  ])
}

async function runMissing(steps) {
  const missing = steps.filter(({ isThere }) => !isThere())
  if (missing.length > 1) say(`${missing.length} steps: ${missing.map(({ what }) => what).join(', ')}`)
  for (const [index, { what, bring }] of missing.entries()) {
    if (missing.length > 1) say(`step ${index + 1} of ${missing.length}: ${what}`)
    await bring()
  }
}
