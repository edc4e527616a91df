import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { ERROR_CODES, FinalError, isErrorCode, RetryableError, reviveError, toShimError } from '../../lib/errors.ts'

describe('the catalog of errors', () => {
  it('is documented with the kind of each code', async () => {
    const text = await readFile(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8')
    const documented = [...text.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, code, kind]) => [code, kind])
    expect(Object.fromEntries(documented)).toEqual(ERROR_CODES)
  })
})

describe('anything thrown', () => {
  it('becomes an error of the catalog that keeps its cause', () => {
    const cause = new TypeError('x is not a function')
    expect(toShimError(cause)).toMatchObject({ code: 'Internal', retryable: true, cause })
  })

  it('stays the same if it is of the catalog', () => {
    const error = new FinalError('NotAnImage', 'no')
    expect(toShimError(error)).toBe(error)
  })
})

describe('an error from another thread', () => {
  it('stays final or retryable', () => {
    expect(reviveError('NotAnImage', 'no')).toBeInstanceOf(FinalError)
    expect(reviveError('DiskFull', 'full')).toBeInstanceOf(RetryableError)
  })
})

it.each(['toString', '__proto__', '', 7, undefined])('%j is not a code of the catalog', value => {
  expect(isErrorCode(value)).toBe(false)
})
