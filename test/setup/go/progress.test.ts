import { describe, expect, it } from 'vitest'
import { followGo } from './progress.mjs'

function lastWords(lines: readonly string[]): string | undefined {
  const { readLine } = followGo()
  return lines.map(readLine).at(-1)
}

describe('the progress of a Go build', () => {
  it('counts the modules that are downloaded', () => {
    const lines = ['go: downloading k8s.io/api v0.36.3', 'go: downloading k8s.io/apimachinery v0.36.3']
    expect(lastWords(lines)).toBe('2 modules downloaded, now k8s.io/apimachinery v0.36.3')
  })

  it('counts the packages that are not in the cache', () => {
    expect(lastWords(['compile io', '', 'compile net/http'])).toBe('2 packages to compile')
  })

  it('shows how many of these are compiled', () => {
    expect(lastWords(['compile io', 'compile net/http', 'io'])).toBe('1 of 2 packages compiled')
  })

  it('announces the linker after the last package', () => {
    expect(lastWords(['compile io', 'io'])).toBe('1 packages compiled, linking the programs')
  })

  it('keeps every other line as an error', () => {
    const { readLine, errors } = followGo()
    const words = ['# k8s.io/api', 'types.go:1:1: syntax error', ''].map(readLine)
    expect([words, errors]).toEqual([
      [undefined, undefined, undefined],
      ['# k8s.io/api', 'types.go:1:1: syntax error'],
    ])
  })
})
