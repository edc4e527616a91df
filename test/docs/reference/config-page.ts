import * as v from 'valibot'
import { configFields } from '../../../shim/config/config-schema.ts'
import { code, sentence, table, wrap } from './markdown.ts'

/** Writes down every key of the config, as its schema describes it. */
export function makeConfigPage(): string {
  const root = read(configFields)
  return [HEAD, '## Top level', '', keysOf(root), ...sectionsOf(root, '').flatMap(text => ['', text]), ''].join('\n')
}

const HEAD = `# Config

The shim reads one file in YAML or JSON, \`/etc/enbi-shim/config.yaml\` by default. Unknown keys are
errors, and the message names the nearest known key. \`enbi-shim check-config\` prints the file with
all defaults. On NixOS every key can be set in \`services.enbi-shim.settings\`.

Without a rule in \`policy\` nothing is built. A small config:

\`\`\`yaml
policy:
  - namespaces: ["team-*"]
    images: ["registry.example/team/*"]
    flakes: ["git+https://git.example/team/*", "github:team/*"]
  - namespaces: ["*"]
    images: ["nix.local/pkgs/**"]
    flakes: ["packages:github:NixOS/nixpkgs"]
names:
  - images: "nix.local/pkgs/{contents}"
    packages: "github:NixOS/nixpkgs/nixos-25.05"
\`\`\`

- A *duration* is a number with a unit: \`30s\`, \`5m\`, \`1h\`, at most 24 days.
- A *size* is a number with a binary unit: \`500MiB\`, \`20GiB\`.
- A *pattern* is a glob: \`*\` matches within one path segment, \`**\` any number of segments
  ([policy](policy.md)).

This page is generated from the schema in \`shim/config/\` by \`npm run reference\`.
`

/** Pages that say more about a section. */
const MORE: Readonly<Record<string, string>> = {
  containerd: '[Other image services](../how-to/other-image-services.md)',
  'nix.credentials': '[Private flakes](../how-to/private-flakes.md)',
  policy: '[Policy](policy.md)',
  names: '[Images by name](../how-to/images-by-name.md)',
  import: '[Images](images.md)',
  kubernetes: '[NixBuild](nixbuild.md)',
  metrics: '[Metrics](metrics.md)',
}

interface Key {
  readonly description: string
  /** Undefined: the type of the value alone says it. */
  readonly typeName: string | undefined
  readonly type: string
  readonly default: string | undefined
  readonly isOptional: boolean
  readonly choices: readonly unknown[] | undefined
  readonly item: unknown
  readonly entries: Readonly<Record<string, unknown>> | undefined
}

function keysOf({ entries = {} }: Key): string {
  const keys = Object.entries(entries).map(([name, schema]) => [name, read(schema)] as const)
  const values = keys.filter(([, key]) => fieldsOf(key) === undefined)
  const rows = values.map(([name, key]) => [code(name), typeOf(key), defaultOf(key), sentence(key.description)])
  return table(['key', 'type', 'default', 'meaning'], rows)
}

/** A section for each key that has keys of its own, or a list of such. */
function sectionsOf({ entries = {} }: Key, parents: string): string[] {
  return Object.entries(entries).flatMap(([name, schema]) => {
    const key = read(schema)
    const fields = fieldsOf(key)
    if (fields === undefined) return []
    const path = `${parents}${name}`
    const more = MORE[path]
    const intro = [sentence(key.description), ...(more === undefined ? [] : [`More: ${more}.`])].join(' ')
    const list = key.entries ? [] : ['', 'A list; each element has these keys:']
    return [
      [`## ${code(path)}`, '', wrap(intro), ...list, '', keysOf(fields)].join('\n'),
      ...sectionsOf(fields, `${path}.`),
    ]
  })
}

function fieldsOf(key: Key): Key | undefined {
  if (key.entries) return key
  const item = key.item === undefined ? undefined : read(key.item)
  return item?.entries ? item : undefined
}

function typeOf({ typeName, choices, item, type }: Key): string {
  if (choices) return choices.map(choice => code(String(choice))).join(', ')
  if (item !== undefined) return `list of ${typeOf(read(item))}s`
  return typeName ?? type
}

function defaultOf(key: Key): string {
  return key.default ?? (key.isOptional ? 'none' : 'required')
}

const schemaShape = v.object({
  type: v.string(),
  pipe: v.optional(v.array(v.unknown())),
  wrapped: v.optional(v.unknown()),
  item: v.optional(v.unknown()),
  entries: v.optional(v.record(v.string(), v.unknown())),
  options: v.optional(v.array(v.unknown())),
  default: v.optional(v.unknown()),
  description: v.optional(v.string()),
  metadata: v.optional(v.object({ type: v.optional(v.string()), default: v.optional(v.string()) })),
})

/** What a schema of valibot says, together with what it wraps. Of two descriptions the outer one counts. */
function read(schema: unknown): Key {
  const own = v.parse(schemaShape, schema)
  const [first, ...rest] = own.pipe ?? []
  const inner = [own.wrapped, first].filter(part => part !== undefined)
  const keys = inner.map(read)
  const actions = rest.map(action => v.parse(schemaShape, action))
  const find = <Value>(pick: (key: Key) => Value | undefined) => keys.map(pick).find(value => value !== undefined)
  const isOptional = own.type === 'optional'
  return {
    description:
      actions.findLast(({ description }) => description)?.description ??
      find(key => key.description || undefined) ??
      '',
    typeName: actions.findLast(({ metadata }) => metadata?.type)?.metadata?.type ?? find(key => key.typeName),
    type: isOptional || own.type === 'nullable' ? (find(key => key.type) ?? own.type) : own.type,
    default:
      actions.findLast(({ metadata }) => metadata?.default)?.metadata?.default ??
      find(key => key.default) ??
      printDefault(own.default),
    isOptional: isOptional || keys.some(key => key.isOptional),
    choices: own.type === 'picklist' ? own.options : find(key => key.choices),
    item: own.item ?? find(key => key.item),
    entries: own.entries ?? find(key => key.entries),
  }
}

function printDefault(value: unknown): string | undefined {
  if (value === undefined || typeof value === 'function') return undefined
  return code(typeof value === 'string' ? value : JSON.stringify(value))
}
