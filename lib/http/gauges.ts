import { Counter, Gauge, type Registry } from 'prom-client'

/** Process metrics, under the names that the official Prometheus clients use. */
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

/** Makes gauges that are computed on each scrape. */
export function createGauges(registry: Registry): (name: string, help: string, value: () => number) => void {
  return (name, help, value) => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value())
      },
    })
  }
}
