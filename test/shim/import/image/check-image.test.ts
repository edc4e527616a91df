import { describe, expect, it } from 'vitest'
import { checkConfigSize } from '../../../../shim/import/image/check-image.ts'
import { CONFIG_TYPE, makeDocument } from '../../../../shim/import/image/parsed-image.ts'

const check = (config: object) =>
  checkConfigSize({ config: makeDocument(CONFIG_TYPE, Buffer.from(JSON.stringify(config))) })

describe('the config of an image', () => {
  it.each([
    ['with usual settings', { os: 'linux', config: { User: '1000:1000', Env: ['A=b'], WorkingDir: '/srv' } }],
    ['without settings', { os: 'linux' }],
    ['with a history of a hundred layers', { history: Array(100).fill({ comment: 'store paths: '.repeat(30) }) }],
  ])('is accepted %s', (_name, config) => expect(() => check(config)).not.toThrow())

  it.each([
    ['with a user that every list of images would carry', { config: { User: 'u'.repeat(5000) } }, '"User" has 5000'],
    ['that spells it as Go reads it, too', { Config: { uSER: 'u'.repeat(5000) } }, '"uSER" has 5000'],
    ['that is large as a whole', { config: { Labels: { a: 'b'.repeat(600_000) } } }, 'more than 524288'],
  ])('is rejected %s', (_name, config, message) => {
    expect(() => check(config)).toThrow(
      expect.objectContaining({ code: 'ArchiveInvalid', message: expect.stringContaining(message) }),
    )
  })
})
