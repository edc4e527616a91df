import { join } from 'node:path'
import * as v from 'valibot'
import type { Bed } from '../node/bed.ts'
import { evaluateNix } from './evaluate.ts'

const expression = v.union([v.strictObject({ text: v.string() }), v.strictObject({ value: v.unknown() })])
const option = v.strictObject({
  name: v.string(),
  description: v.string(),
  type: v.string(),
  default: expression,
  example: v.optional(expression),
})

type Expression = v.InferOutput<typeof expression>
type Option = v.InferOutput<typeof option>

export const OPTIONS_PAGE = join(import.meta.dirname, '../../docs/reference/nixos-options.md')

/** The module's options as Markdown, evaluated by Nix. */
export async function makeOptionsPage(bed: Bed): Promise<string> {
  const options = v.parse(v.array(option), await evaluateNix(bed, join(import.meta.dirname, 'options.nix')))
  return [HEAD, ...options.map(describe)].join('\n')
}

const HEAD = `# Options of the NixOS module

All options are below \`services.enbi-shim\`. See [Install on NixOS](../how-to/install-on-nixos.md). This
page is generated from \`nixos-module/\` by \`npm run reference\`.
`

function describe({ name, description, type, example, ...rest }: Option): string {
  const lines = [
    `## \`${name}\``,
    '',
    withoutRoles(description),
    '',
    `- Type: ${type}`,
    `- Default: ${code(rest.default)}`,
  ]
  if (example === undefined) return [...lines, ''].join('\n')
  return [...lines, '- Example:', '', ...text(example).split('\n').map(indent), ''].join('\n')
}

/** Links within the NixOS manual become plain code. */
function withoutRoles(description: string): string {
  return description.trim().replaceAll(/\{\w+\}`/g, '`')
}

function code(value: Expression): string {
  return `\`${text(value)}\``
}

function indent(line: string): string {
  return line === '' ? '' : `      ${line}`
}

function text(value: Expression): string {
  return 'text' in value ? value.text.trim() : toNix(value.value)
}

/** Defaults are short enough for one line. */
function toNix(value: unknown): string {
  if (Array.isArray(value)) return `[ ${value.map(element => `${toNix(element)} `).join('')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{ ${Object.entries(value)
    .map(([key, inner]) => `${key} = ${toNix(inner)}; `)
    .join('')}}`
}
