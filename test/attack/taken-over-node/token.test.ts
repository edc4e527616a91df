import { afterAll, beforeAll } from 'vitest'
import { type Deployed, type Member, startDeployed } from '../../deploy/deployed.ts'
import { eventSuite } from './event-suite.ts'
import { leaseSuite } from './lease-suite.ts'
import { nixNodeSuite } from './nixnode-suite.ts'

let deployed: Deployed
let shim: Member

beforeAll(async () => {
  deployed = await startDeployed()
  shim = await deployed.as('enbi-shim', 'a')
})

afterAll(() => deployed?.[Symbol.asyncDispose]())

const node = { deployed: () => deployed, shim: () => shim }
leaseSuite(node)
eventSuite(node)
nixNodeSuite(node)
