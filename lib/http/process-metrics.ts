import { Counter, type Registry } from 'prom-client'
import { createGauges } from './gauges.ts'

/** Those of the names that Prometheus's own clients use. */
export function addProcessMetrics(registry: Registry): void {
  const gauge = createGauges(registry)
  gauge('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss())
  gauge('process_start_time_seconds', 'When the process was started, since 1970.', () => STARTED_AT)
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Time of processors, user and system.',
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
