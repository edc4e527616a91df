import { Gauge, type Registry } from 'prom-client'

/** Makes gauges whose value is asked for when somebody looks. */
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
