// Brings everything that the demo, the tests and the benchmarks need, and says what it does.
// With --packages the npm packages alone, as anybody may have them.
// With --cluster also Kubernetes, for the test cluster: that is built, and takes minutes once.
// Plain JavaScript without packages: it runs first, under any Node from 18 on.
import { debianPackagesAreThere, unpackDebianPackages, whatIsMissing } from './debian.mjs'
import { buildGoPrograms, goProgramsAreThere } from './go.mjs'
import { installNpmPackages, npmPackagesAreThere } from './npm.mjs'
import { SetupError } from './run.mjs'

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
  if (!npmPackagesAreThere()) await installNpmPackages()
  if (!debianPackagesAreThere()) await unpackDebianPackages()
  if (process.argv.includes('--cluster') && !goProgramsAreThere()) await buildGoPrograms()
}
