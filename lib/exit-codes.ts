import { CommanderError } from 'commander'
import { ShimError } from './errors.ts'

const FAILED = 1
const WRONG_USAGE = 2
const UNREACHABLE = 3
const INTERRUPTED = 130

/** The documented exit code for anything that a command threw. */
export function exitCodeOf(error: unknown): number {
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
