import { expect, it } from 'vitest'
import { FinalError } from '../../../../lib/errors.ts'
import { GrpcError } from '../../../../lib/grpc/grpc-error.ts'
import { toContainerdFailure } from '../../../../shim/containerd/services/failure.ts'

it.each([
  ['a refused connection', new GrpcError('x.Y/Z', 14, 'no server answers'), 'ContainerdAway'],
  ['a CRI plugin that is starting', new GrpcError('x.Y/Z', 2, 'server is not initialized yet'), 'ContainerdAway'],
  ['a full disk', new GrpcError('x.Y/Z', 2, 'write /a/b: no space left on device'), 'DiskFull'],
  ['an exhausted quota', new GrpcError('x.Y/Z', 2, 'write /a/b: disk quota exceeded'), 'DiskFull'],
  ['any other status', new GrpcError('x.Y/Z', 9, 'some precondition'), 'ContainerdFailed'],
  ['an error with a code', new FinalError('ArchiveInvalid', 'bad'), 'ArchiveInvalid'],
  ['anything else', new TypeError('bug'), 'Internal'],
])('toContainerdFailure turns %s into an error of the catalog', (_, error, code) => {
  const failure = toContainerdFailure(error)
  expect(failure.code).toBe(code)
  expect(failure.message).toContain(error instanceof GrpcError ? error.details : error.message)
})

it('toContainerdFailure keeps the original error as the cause', () => {
  const cause = new GrpcError('x.Y/Z', 2, 'broken')
  expect(toContainerdFailure(cause).cause).toBe(cause)
})
