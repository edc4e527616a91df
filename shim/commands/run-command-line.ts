import { type Command, CommanderError } from 'commander'
import { messageOf } from '../errors.ts'
import { exitCodeOf } from './exit-codes.ts'

/** Runs the command that the arguments name, prints what went wrong, and sets the exit code. */
export async function runCommandLine(program: Command): Promise<void> {
  ignoreClosedOutput()
  try {
    await program.parseAsync()
  } catch (error) {
    if (!(error instanceof CommanderError)) process.stderr.write(`${program.name()}: ${messageOf(error)}\n`)
    process.exitCode = exitCodeOf(error)
  }
}

/** A reader such as `head` may close the output early. The command still runs to its end, and its exit code counts. */
function ignoreClosedOutput(): void {
  for (const output of [process.stdout, process.stderr]) output.on('error', () => {})
}
