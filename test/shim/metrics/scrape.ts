import { readFile } from 'node:fs/promises'
import { vi } from 'vitest'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'

/** The address of a shim's metrics on an automatically chosen port. */
export async function metricsUrl(shim: Shim): Promise<string> {
  return vi.waitFor(async () => {
    const log = await readFile(shim.daemon.logPath, 'utf8')
    const line = log.split('\n').find(text => text.includes('serving /metrics'))
    if (line === undefined) throw new Error('metrics are not served yet')
    const { address, family, port } = JSON.parse(line).listen
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
  }, PATIENT)
}

/** Values by series, for example `name{label="value"}`. */
export async function scrape(url: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return new Map(lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]))
}
