import { expect, test } from 'vitest'
import { checkSpelling } from '../../../../shim/import/image/json.ts'

const FIELDS = { '': ['rootfs', 'layers'], '/rootfs': ['diff_ids'], '/layers': ['digest'] }
const check = (json: string) => () => checkSpelling(json, FIELDS, 'config')

test.each([
  '{}',
  '[]',
  '{"rootfs":{"diff_ids":["a","b"]},"other":1,"Another":2}',
  '{"rootfs" : { "diff_ids" : [ "\\"Rootfs\\":{" ] } , "text" : "a\\\\" }',
  '{"config":{"Labels":{"rootfs":"1","Rootfs":"2","a":1,"a":2}},"rootfs":{}}',
  '{"layers":[{"digest":"a"},{"digest":"b","x":{"Digest":"c"}}]}',
  `{"x":${'['.repeat(100_000)}${']'.repeat(100_000)},"rootfs":{}}`,
  `{"x":${'{"rootfs":'.repeat(50_000)}1${'}'.repeat(50_000)},"rootfs":{}}`,
])('a document that can be read in one way only passes: %s', json => {
  expect(check(json)).not.toThrow()
})

test.each([
  '{"Rootfs":{}}',
  '{"rootfs":{},"rootfs":{}}',
  '{"rootfs":{},"x":{"y":[{}]},"ROOTFS":{}}',
  '{"other":1,"OTHER":2}',
  '{"\\u0072ootFs":{}}',
  '{"root\\u0066s":{},"rootfs":{}}',
  '{"rootf\\u017f":{}}',
  '{"rootfs":{"Diff_ids":[]}}',
  '{"rootfs":{"diff_ids":[],"x":"}","diff_ids":[]}}',
  '{"layers":[{"digest":"a"},{"digest":"b","dIgest":"c"}]}',
  `{"x":${'['.repeat(50)}${']'.repeat(50)},"Layers":[]}`,
])('a document that Go may read differently is rejected: %s', json => {
  expect(check(json)).toThrow('read in two ways')
})
