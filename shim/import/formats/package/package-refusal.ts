import { FinalError } from '../../../../lib/errors.ts'

/** The package is none that an image can be made of. `reason` goes on from "no image can be made of the package: ". */
export function packageRefusal(reason: string, cause?: unknown): FinalError {
  return new FinalError('NotAnImage', `no image can be made of the package: ${reason}`, { cause })
}
