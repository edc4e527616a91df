import { describe, expect, it } from 'vitest'
import { critestSection } from '../../conformance/critest/critest-section.ts'
import { differences, readReport } from '../../conformance/critest/read-report.ts'

function report(...specs: (readonly [name: string, state: string, type?: string])[]): string {
  const reports = specs.map(([LeafNodeText, State, LeafNodeType = 'It']) => ({
    ContainerHierarchyTexts: ['[k8s.io] Images'],
    LeafNodeType,
    LeafNodeText,
    State,
  }))
  return JSON.stringify([{ SuiteDescription: 'CRI validation', SpecReports: reports }])
}

describe('a report of critest', () => {
  it('has the names of the tests that passed and failed', () => {
    expect(readReport(report(['are pulled', 'passed'], ['are listed', 'failed'], ['hang', 'timedout']))).toEqual({
      passed: ['[k8s.io] Images are pulled'],
      failed: ['[k8s.io] Images are listed', '[k8s.io] Images hang'],
    })
  })

  it('counts neither skipped tests nor what is no test', () => {
    const text = report(['are for Windows', 'skipped'], ['wait', 'pending'], ['', 'passed', 'BeforeSuite'])
    expect(readReport(text)).toEqual({ passed: [], failed: [] })
  })

  it('of another form is rejected', () => {
    expect(() => readReport('{}')).toThrow()
  })
})

describe('two runs of critest', () => {
  it('differ in tests with another result, and in tests that only one of them ran', () => {
    const one = { passed: ['a', 'b', 'c'], failed: ['d'] }
    const other = { passed: ['a', 'd'], failed: ['b'] }
    expect(differences(one, other)).toEqual(['b', 'c', 'd'])
  })

  it('are as promised if all have the same results and fewer than ten tests fail', () => {
    const outcome = (count: number) => ({ passed: ['a'], failed: Array.from({ length: count }, (_, n) => `f${n}`) })
    const problems = (direct: number, all: number) => {
      const [one, other] = [outcome(direct), outcome(all)]
      return critestSection({ direct: one, imagesThroughShim: one, allThroughShim: other }).problems
    }
    expect(problems(9, 9)).toEqual([])
    expect(problems(10, 10)).toEqual(['10 tests fail without the shim'])
    expect(problems(1, 2)).toEqual(['both endpoints through the shim: f1'])
  })
})
