import { pino } from 'pino'
import { expect, it, onTestFinished } from 'vitest'
import { RetryableError } from '../../../lib/errors.ts'
import { createAssignedBuilds } from '../../../shim/cluster/nixnode/assigned-builds.ts'
import { PATIENT } from '../../patience.ts'
import { nixBuild } from '../../shim/cluster/nixbuilds.ts'

it('a node starts thousands of assigned builds of one namespace a few at a time, and they do not block other namespaces', async () => {
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const begun: { readonly namespace: string; end(): void }[] = []
  const builds = createAssignedBuilds({
    pullImage({ namespace }) {
      const { promise, reject } = Promise.withResolvers<never>()
      begun.push({ namespace, end: () => reject(new RetryableError('Cancelled', 'over')) })
      return promise
    },
    withdrawn: () => {},
    unreadable: () => {},
    signal: stop.signal,
    logger: pino({ level: 'silent' }),
  })
  const { spec: recipe } = nixBuild()
  const flood = Array.from({ length: 999 }, (_, index) => ({ namespace: 'flood', name: `flood-${index}`, recipe }))
  builds.update([...flood, { namespace: 'team', name: 'one', recipe }])
  const of = (name: string) => begun.filter(({ namespace }) => namespace === name)
  expect(of('team')).toHaveLength(1)
  const count = of('flood').length
  expect(count).toBe(20)
  for (const { end } of of('flood').slice(0, 5)) end()
  await expect.poll(() => of('flood').length, PATIENT).toBe(count + 5)
})
