import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { allChecks } from '../../../shim/doctor/all-checks.ts'

const PAGE = join(import.meta.dirname, '../../../docs/reference/doctor.md')
/** With every section that adds a check. */
const CONFIG = {
  containerd: { imageService: '/run/other.sock' },
  flakeNames: true,
  share: {},
  import: { layers: 'tar' },
  kubernetes: { nodeName: 'node-1', kubeconfig: '/etc/kubeconfig.yaml' },
}

test('the page of doctor lists every check, in their order', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'doctor-page-'))
  try {
    const configFile = join(dir, 'config.yaml')
    await writeFile(configFile, stringify(CONFIG))
    const { checks, close } = await allChecks({ configFile, env: {} })
    await close()
    const [, table = ''] = /\n## Checks\n(.*?)\n## /s.exec(await readFile(PAGE, 'utf8')) ?? []
    const listed = [...table.matchAll(/^\| ([\w ]+) \|/gm)].map(([, name]) => name).filter(name => name !== 'check')
    expect(listed).toEqual(checks.map(({ name }) => name))
  } finally {
    await rm(dir, { recursive: true })
  }
})
