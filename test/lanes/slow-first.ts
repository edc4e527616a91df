import { join } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { SLOW_FILES } from './slow-files.ts'

/** The longest file must not run alone at the end. On a new checkout, Vitest knows no durations and sorts by size. */
export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const ranks = new Map(SLOW_FILES.map((file, rank) => [join(import.meta.dirname, '../..', file), rank]))
    const rankOf = ({ moduleId }: TestSpecification) => ranks.get(moduleId) ?? ranks.size
    return (await super.sort(files)).toSorted((one, other) => rankOf(one) - rankOf(other))
  }
}
