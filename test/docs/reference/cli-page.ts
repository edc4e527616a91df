import type { Command } from 'commander'
import { program as controller } from '../../../controller/program.ts'
import { program as kubectl } from '../../../shim/kubectl/program.ts'
import { program as shim } from '../../../shim/program.ts'
import { code, escapeTags, sentence, table, wrap } from './markdown.ts'

/** Writes down every command with its arguments and options, as commander knows them. */
export function makeCliPage(): string {
  const commands = [shim, ...shim.commands, controller, kubectl, ...kubectl.commands]
  return [HEAD, ...commands.map(describe)].join('\n')
}

const HEAD = `# Command line

\`enbi-shim\` runs on every node, \`enbi-controller\` once per cluster, and \`kubectl nixbuild\` wherever
\`kubectl\` does. Each command prints this information with \`--help\`. This page is generated from
the commands by \`npm run reference\`.
`

function describe(command: Command): string {
  const name = nameOf(command)
  const usage = [name, command.usage()].join(' ')
  const parts = [
    `## ${code(name)}`,
    wrap(escapeTags(sentence(command.description()))),
    ['```text', usage, '```'].join('\n'),
  ]
  const args = command.registeredArguments.map(argument => [
    code(argument.name()),
    printDefault(argument.defaultValue, argument.defaultValueDescription) ?? (argument.required ? 'required' : 'none'),
    sentence(argument.description),
  ])
  if (args.length > 0) parts.push(table(['argument', 'default', 'meaning'], args))
  const options = command.options.map(option => [
    code(option.flags),
    printDefault(option.defaultValue, option.defaultValueDescription) ??
      (option.mandatory ? 'required' : option.isBoolean() ? '' : 'none'),
    sentence([option.description, choicesOf(option.argChoices)].join('')),
  ])
  if (options.length > 0) parts.push(table(['option', 'default', 'meaning'], options))
  return [...parts, ...remarksOf(command), ''].join('\n\n').trimEnd().concat('\n')
}

function nameOf(command: Command): string {
  return command.parent ? `${command.parent.name()} ${command.name()}` : command.name()
}

function choicesOf(choices: readonly string[] | undefined): string {
  return choices === undefined ? '' : `: ${choices.map(code).join(', ')}`
}

function printDefault(value: unknown, description: string | undefined): string | undefined {
  if (description !== undefined) return description === 'none' ? 'none' : code(description)
  return value === undefined ? undefined : code(String(value))
}

/** What the help has after the options: paragraphs, and examples, which become lines of code. */
function remarksOf(command: Command): string[] {
  let help = ''
  command.configureOutput({ writeOut: text => (help += text) })
  command.outputHelp()
  const remarks = help.slice(command.helpInformation().length).trim()
  if (remarks === '') return []
  return remarks.split('\n\n').map(remark => {
    const [title = '', ...lines] = remark.split('\n')
    if (title !== 'Examples:') return remark.split('\n').map(wrap).join('\n')
    return [title, '', ...lines.map(line => `    ${line.trim()}`)].join('\n')
  })
}
