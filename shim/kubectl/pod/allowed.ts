import { ShimError } from '../../../lib/errors.ts'

/** What is asked for, or undefined if the user has no right to it: the rest says enough. */
export async function allowed<Result>(asked: Promise<Result>): Promise<Result | undefined> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof ShimError && error.code === 'ClusterRefused') return undefined
    throw error
  }
}
