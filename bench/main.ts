import type { Group, Values } from './figures.ts'
import { formatGroup, isGroup, writeFiguresPage } from './figures-page.ts'
import { describeMachine } from './machine.ts'
import { measureArchiveImport } from './measure/archive-import.ts'
import { measureAttack } from './measure/attack.ts'
import { measureBuildWrites } from './measure/build-writes.ts'
import { measureClusterMemory } from './measure/cluster-memory.ts'
import { measureController } from './measure/controller.ts'
import { measureFirstPull } from './measure/first-pull.ts'
import { measureCatchUp } from './measure/fleet-catch-up.ts'
import { measureHerd } from './measure/fleet-herd.ts'
import { measureLoadedPassThrough } from './measure/loaded-pass-through.ts'
import { measureMemory } from './measure/memory.ts'
import { measureNames } from './measure/names.ts'
import { measurePassThrough } from './measure/pass-through.ts'
import { measurePodDeleted } from './measure/pod-deleted.ts'
import { measurePodStart } from './measure/pod-start.ts'
import { measurePull } from './measure/pull.ts'
import { measureShare } from './measure/share.ts'
import { measureSharedLayers } from './measure/shared-layers.ts'
import { measureStart } from './measure/start.ts'
import { measureStoreImport } from './measure/store-import.ts'
import { measureStorm } from './measure/storm.ts'
import { readResults, writeResults } from './results.ts'
import { writeScalePage } from './scale-page.ts'
import { soak } from './soak/soak.ts'

const SOAK_MINUTES = 60
/** Measured only when it is asked for by name: it takes longer than all others together. */
const ONLY_BY_NAME: Group = 'soak'

const MEASURES: { readonly [G in Group]: () => Promise<Values<G>> } = {
  start: measureStart,
  passthrough: async () => ({ ...(await measurePassThrough()), ...(await measureLoadedPassThrough()) }),
  rss: async () => ({ ...(await measureMemory()), ...(await measureClusterMemory()) }),
  import: async () => ({ ...(await measureStoreImport()), ...(await measureArchiveImport()) }),
  pull: async () => ({ ...(await measurePull()), ...(await measureFirstPull()) }),
  names: async () => ({ ...(await measureNames()), ...(await measureSharedLayers()) }),
  cluster: async () => ({
    ...(await measurePodStart()),
    ...(await measureBuildWrites()),
    ...(await measureController()),
    ...(await measurePodDeleted()),
  }),
  fleet: async () => ({ ...(await measureHerd()), ...(await measureCatchUp()) }),
  share: measureShare,
  attack: measureAttack,
  storm: measureStorm,
  soak: () => soak({ minutes: SOAK_MINUTES }),
}

const wanted = process.argv.slice(2)
for (const name of wanted)
  if (!isGroup(name)) throw new Error(`no group ${name}: there are ${Object.keys(MEASURES).join(', ')}`)
const machine = await describeMachine()
for (const [group, measure] of Object.entries(MEASURES)) {
  if (!isGroup(group) || (wanted.length === 0 ? group === ONLY_BY_NAME : !wanted.includes(group))) continue
  process.stderr.write(`measuring ${group} …\n`)
  const measured = Object.entries(await measure())
  const values = Object.fromEntries(measured.map(([name, value]) => [name, round(value)]))
  const result = { date: new Date().toISOString().slice(0, 10), machine, values }
  process.stdout.write(`${formatGroup(group, result)}\n`)
  await writeResults({ ...(await readResults()), [group]: result })
  await writeFiguresPage()
  await writeScalePage()
}

function round(value: number): number {
  return Number(value.toPrecision(3))
}
