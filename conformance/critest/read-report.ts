import * as v from 'valibot'

/** What became of the tests of a run, by their full names. Tests that were skipped are in neither list. */
export interface Outcome {
  readonly passed: readonly string[]
  readonly failed: readonly string[]
}

const reportSchema = v.array(
  v.object({
    SpecReports: v.nullable(
      v.array(
        v.object({
          ContainerHierarchyTexts: v.nullable(v.array(v.string())),
          LeafNodeType: v.string(),
          LeafNodeText: v.string(),
          State: v.string(),
        }),
      ),
    ),
  }),
)

const FAILED = new Set(['failed', 'panicked', 'aborted', 'interrupted', 'timedout'])

/** Reads the report that ginkgo writes as JSON. */
export function readReport(text: string): Outcome {
  const specs = v
    .parse(reportSchema, JSON.parse(text))
    .flatMap(({ SpecReports }) => SpecReports ?? [])
    .filter(({ LeafNodeType }) => LeafNodeType === 'It')
    .map(({ ContainerHierarchyTexts, LeafNodeText, State }) => ({
      name: [...(ContainerHierarchyTexts ?? []), LeafNodeText].join(' '),
      State,
    }))
  const namesOf = (isWanted: (state: string) => boolean) =>
    specs
      .filter(({ State }) => isWanted(State))
      .map(({ name }) => name)
      .toSorted()
  return { passed: namesOf(state => state === 'passed'), failed: namesOf(state => FAILED.has(state)) }
}

/** The tests whose result differs between two runs. */
export function differences(one: Outcome, other: Outcome): string[] {
  const results = ({ passed, failed }: Outcome) =>
    new Map([...passed.map(name => [name, true] as const), ...failed.map(name => [name, false] as const)])
  const [first, second] = [results(one), results(other)]
  return [...new Set([...first.keys(), ...second.keys()])]
    .filter(name => first.get(name) !== second.get(name))
    .toSorted()
}
