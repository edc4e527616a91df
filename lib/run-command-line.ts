import { type Command, CommanderError } from 'commander'
import { messageOf, ShimError } from './errors.ts'

const FAILED = 1
const WRONG_USAGE = 2
const UNREACHABLE = 3
const INTERRUPTED = 130

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

/** The documented exit code for an error of a command. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : WRONG_USAGE
  if (!(error instanceof ShimError)) return FAILED
  switch (error.code) {
    case 'ConfigInvalid':
    case 'RecipeInvalid':
      return WRONG_USAGE
    case 'ShimAway':
      return UNREACHABLE
    case 'Cancelled':
      return INTERRUPTED
    default:
      return FAILED
  }
}
