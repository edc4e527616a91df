import type { UnitOptions } from './evaluate.ts'

/** Values by section and directive, in the order of the file. */
export type UnitFile = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>

/** Reads a unit file. Booleans become `true` and `false`, and lists of words stay as they are. */
export function parseUnit(text: string): UnitFile {
  const sections: Record<string, Record<string, string[]>> = {}
  let section: Record<string, string[]> = {}
  for (const line of text.split('\n').filter(line => line !== '' && !line.startsWith('#'))) {
    const name = /^\[(.*)\]$/.exec(line)?.[1]
    if (name === undefined) {
      const [, key = '', value = ''] = /^(.*?)=(.*)$/.exec(line) ?? []
      section[key] = [...(section[key] ?? []), asBoolean(value)]
    } else {
      section = sections[name] ?? {}
      sections[name] = section
    }
  }
  return sections
}

function asBoolean(value: string): string {
  if (value === 'yes') return 'true'
  return value === 'no' ? 'false' : value
}

/** Writes a unit as NixOS does, with an [Install] section in place of the links that NixOS makes. */
export function renderUnit(unit: UnitOptions): string {
  const { serviceConfig, socketConfig, unitConfig } = unit
  const path = unit.path.length === 0 ? {} : { PATH: unit.path.map(folder => `${folder}/bin`).join(':') }
  const environment = Object.entries({ ...unit.environment, ...path }).map(([name, value]) => `${name}=${value}`)
  const order = { After: unit.after, Before: unit.before, Requires: unit.requires, Wants: unit.wants }
  return [
    ...section('Unit', { Description: unit.description, ...mapped(order), ...unitConfig }),
    ...section('Service', isEmpty(serviceConfig) ? {} : { Environment: environment, ...serviceConfig }),
    ...section('Socket', socketConfig),
    ...section('Install', mapped({ WantedBy: unit.wantedBy })),
    '',
  ].join('\n')
}

type Directives = UnitOptions['serviceConfig']

function section(name: string, directives: Directives): string[] {
  if (isEmpty(directives)) return []
  const lines = Object.entries(directives).flatMap(([key, value]) => [value].flat().map(one => `${key}=${one}`))
  return [`[${name}]`, ...lines]
}

function mapped(lists: Readonly<Record<string, readonly string[]>>): Directives {
  return Object.fromEntries(
    Object.entries(lists)
      .filter(([, units]) => units.length > 0)
      .map(([key, units]) => [key, units.join(' ')]),
  )
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0
}
