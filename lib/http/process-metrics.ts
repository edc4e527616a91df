import { Counter, type Registry } from 'prom-client'
import { createGauges } from './gauges.ts'

/** Those of the names that Prometheus's own clients use. */
export function addProcessMetrics(registry: Registry): void {
  const gauge = createGauges(registry)
  gauge('process_resident_memory_bytes', 'Resident memory in bytes.', () => process.memoryUsage.rss())
  gauge('process_start_time_seconds', 'Start of the process, in seconds since 1970.', () => STARTED_AT)
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time in seconds, user and system.',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(cpuSeconds())
    },
  })
}

const STARTED_AT = performance.timeOrigin / 1000

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
