import { properties, type Schema } from '../../deploy/crd-schema.ts'
import { code, sentence, table } from './markdown.ts'

/** Every field of the CRD, with its limit. */
export function makeNixNodePage(): string {
  const fields = [...properties('nixnodes')]
  const part = (name: string) =>
    table(
      ['field', 'limit', 'meaning'],
      fields
        .filter(({ path }) => path.startsWith(`${name}.`))
        .map(({ path, schema }) => [
          code(path.slice(name.length + 1)),
          limitOf(schema),
          sentence(schema.description ?? ''),
        ]),
    )
  return `${HEAD}\n## Spec\n\n${SPEC}\n${part('spec')}\n\n## Status\n\n${STATUS}\n${part('status')}\n`
}

const HEAD = `# NixNode

\`NixNode\` (\`enbi.hrzn.ee/v1alpha1\`, cluster-scoped, short name \`nn\`) stands for a node that runs the
shim, and has the name of its Node. Each half has one writer: the controller writes the spec, the shim
of the node writes the status. The controller sums up all statuses in [NixBuilds](nixbuild.md).

\`\`\`console
$ kubectl get nixnodes
NAME     SYSTEM         LAYERS   BUILDING                        AGE
node-1   x86_64-linux   linked   registry.example/team/hello:1   5d
node-2   x86_64-linux   linked                                   5d
\`\`\`

\`BUILDING\` is the first image that the node builds. \`-o wide\` adds the first image that failed and
the version of the shim. This page is generated from the CRD by \`npm run reference\`.

The shim creates the object. The controller makes the Node its owner, so that it is deleted with the
Node. An admission policy lets each shim write only the status of its own NixNode
([permissions](nixbuild.md#permissions)).
`

const SPEC = `Empty until a controller has seen the node.
`

const STATUS = `The shim writes it when something changes, at most once a second.
\`observedGeneration\` says which spec it has read.
`

function limitOf({ maxLength, maxItems, enum: values, format, type, items }: Schema): string {
  if (values) return values.map(code).join(', ')
  if (maxItems !== undefined) {
    const each = items?.maxLength === undefined ? '' : ` of ${print(items.maxLength)} characters`
    return `${print(maxItems)} entries${each}`
  }
  if (maxLength !== undefined) return `${print(maxLength)} characters`
  if (format === 'date-time') return 'RFC 3339'
  return type === 'object' ? '' : (type ?? '')
}

function print(count: number): string {
  return count.toLocaleString('en-US')
}
