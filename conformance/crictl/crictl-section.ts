import type { Findings } from '../results.ts'
import type { Compared } from './run-crictl.ts'

export function crictlSection(compared: readonly Compared[]): Findings {
  return {
    columns: ['command', 'exit code', 'through the shim'],
    rows: compared.map(({ command, exitCode, differs }) => [
      `\`${command}\``,
      String(exitCode),
      differs.length === 0 ? 'the same' : `other ${differs.join(', ')}`,
    ]),
    problems: compared
      .filter(({ differs }) => differs.length > 0)
      .map(({ command, differs }) => `\`${command}\` has other ${differs.join(', ')}`),
  }
}
