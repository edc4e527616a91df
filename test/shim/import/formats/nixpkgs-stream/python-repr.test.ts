import { expect, it } from 'vitest'
import { pythonListRepr } from '../../../../../shim/import/formats/nixpkgs-stream/python.ts'

it.each([
  [[], '[]'],
  [['a', 'b c'], "['a', 'b c']"],
  [["it's"], `["it's"]`],
  [['say "it"'], `['say "it"']`],
  [[`"it's"`], `['"it\\'s"']`],
  [['a\\b'], "['a\\\\b']"],
  [['\n\r\t\0\x1f\x7f'], "['\\n\\r\\t\\x00\\x1f\\x7f']"],
])('%j is printed as %s', (strings, printed) => {
  expect(pythonListRepr(strings)).toBe(printed)
})

it('a text that is not ASCII is rejected', () => {
  expect(() => pythonListRepr(['a', 'ü'])).toThrow('not ASCII')
})
