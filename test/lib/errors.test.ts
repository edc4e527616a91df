import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { ERROR_CODES, FinalError, isErrorCode, RetryableError, reviveError, toShimError } from '../../lib/errors.ts'

describe('the catalogue of errors', () => {
  it('stands in the docs, code by code and kind by kind', async () => {
    const text = await readFile(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8')
    const documented = [...text.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, code, kind]) => [code, kind])
    expect(Object.fromEntries(documented)).toEqual(ERROR_CODES)
  })
})

describe('anything thrown', () => {
  it('becomes an error of the catalogue that keeps its cause', () => {
    const cause = new TypeError('x is not a function')
    expect(toShimError(cause)).toMatchObject({ code: 'Internal', retryable: true, cause })
  })

  it('that is of the catalogue stays as it is', () => {
    const error = new FinalError('NotAnImage', 'no')
    expect(toShimError(error)).toBe(error)
  })
})

describe('an error that crossed a thread', () => {
  it('is final or retryable as before', () => {
    expect(reviveError('NotAnImage', 'no')).toBeInstanceOf(FinalError)
    expect(reviveError('DiskFull', 'full')).toBeInstanceOf(RetryableError)
  })
})

it.each(['toString', '__proto__', '', 7, undefined])('%j is no code of the catalogue', value => {
  expect(isErrorCode(value)).toBe(false)
})
