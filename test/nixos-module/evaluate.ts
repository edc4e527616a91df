import { join } from 'node:path'
import * as v from 'valibot'
import type { Bed } from '../node/bed.ts'

const strings = v.array(v.string())
const value = v.union([v.string(), v.number(), v.boolean()])
const directives = v.record(v.string(), v.union([value, v.array(value)]))

const unit = v.object({
  description: v.string(),
  after: strings,
  before: strings,
  requires: strings,
  wants: strings,
  wantedBy: strings,
  stopIfChanged: v.boolean(),
  path: strings,
  script: v.string(),
  environment: v.record(v.string(), v.string()),
  unitConfig: directives,
  serviceConfig: directives,
  socketConfig: directives,
})

/** Missing if an assertion fails, because NixOS then evaluates nothing else. */
const made = v.object({
  services: v.record(v.string(), unit),
  sockets: v.record(v.string(), unit),
  tmpfiles: v.object({ rules: strings }),
  firewall: v.looseObject({ allowedTCPPorts: v.array(v.number()) }),
  users: v.object({ users: v.record(v.string(), v.unknown()), groups: v.record(v.string(), v.unknown()) }),
  nix: v.record(v.string(), v.unknown()),
  harmonia: v.record(v.string(), v.unknown()),
  kubelet: v.record(v.string(), v.unknown()),
  k3s: v.object({ extraFlags: strings, extraKubeletConfig: v.record(v.string(), v.unknown()) }),
  packages: strings,
})

const machine = v.object({ assertions: strings, warnings: strings, ...v.partial(made).entries })
const machines = v.record(v.string(), machine)

/** A unit as NixOS options describe it. */
export type UnitOptions = v.InferOutput<typeof unit>
/** The NixOS options that the module sets, and the messages of failed assertions. */
export type Machine = v.InferOutput<typeof made> & v.InferOutput<typeof machine>

/** The result of the module for the configurations in cases.nix, by their names. */
export async function evaluateMachines(bed: Bed): Promise<Record<string, v.InferOutput<typeof machine>>> {
  return evaluateCases(bed, `import ${join(import.meta.dirname, 'cases.nix')}`)
}

/** What the module makes of the text of a configuration, on a machine with a kubelet. */
export async function evaluateText(bed: Bed, text: string): Promise<Machine> {
  const rule = '{ namespaces = [ "*" ]; images = [ "*" ]; flakes = [ "*" ]; }'
  const shim = `services.enbi-shim = { enable = true; policy = lib.mkDefault [ ${rule} ]; };`
  const kubelet = 'services.kubernetes.kubelet.enable = true; virtualisation.containerd.enable = true;'
  const harmonia = join(import.meta.dirname, 'stub/harmonia-cache.nix')
  const node = `({ lib, ... }: { imports = [ ${harmonia} ]; ${shim} ${kubelet} })`
  return theMachine(await evaluateCases(bed, `{ text = { imports = [ (${text}) ${node} ]; }; }`), 'text')
}

async function evaluateCases(bed: Bed, cases: string): Promise<v.InferOutput<typeof machines>> {
  return v.parse(machines, await evaluateNix(bed, join(import.meta.dirname, 'evaluate.nix'), ['--arg', 'cases', cases]))
}

/** The machine of a valid configuration. */
export function theMachine(found: Awaited<ReturnType<typeof evaluateMachines>>, name: string): Machine {
  const machine = found[name]
  if (machine === undefined) throw new Error(`cases.nix has no ${name}`)
  return { ...machine, ...v.parse(made, machine) }
}

/** The value that a Nix file evaluates to. */
export async function evaluateNix(bed: Bed, file: string, args: readonly string[] = []): Promise<unknown> {
  const { stdout } = await bed.run('nix-instantiate', ['--eval', '--strict', '--json', ...args, file])
  return JSON.parse(stdout)
}
