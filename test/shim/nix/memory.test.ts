import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { makeFlake, type TestFlake } from './flake.ts'
import { recipeOf, startBuilder } from './remote-builder.ts'

/** Growth beyond the memory at rest. */
const MAX_GROWTH_BYTES = 60e6

let bed: Bed
let flake: TestFlake
beforeAll(async () => {
  bed = await startBed({ without: ['containerd'] })
  flake = await makeFlake(bed.dir)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

test.each([
  { what: 'a line of 5 MB', packageName: 'loud' },
  { what: '200,000 lines', packageName: 'torrent' },
])('a builder that writes $what does not fill the memory of the shim', async ({ packageName }) => {
  await using builder = startBuilder(bed)
  await builder.build(recipeOf(flake.url, 'base'))
  const before = await builder.memory()
  await expect(builder.build(recipeOf(flake.url, packageName))).rejects.toMatchObject({ code: 'BuilderFailed' })
  expect((await builder.memory()) - before).toBeLessThan(MAX_GROWTH_BYTES)
})
