import { expect, it } from 'vitest'
import { pythonJson } from '../../../../../shim/import/formats/nixpkgs-stream/python.ts'
import { readOrderedJson } from '../../../../../shim/import/image/ordered-json.ts'

it.each([
  ['null', 'null'],
  [' true ', 'true'],
  ['{}', '{}'],
  ['[ ]', '[]'],
  ['[1,[2,{}],{"a":[]}]', '[\n    1,\n    [\n        2,\n        {}\n    ],\n    {\n        "a": []\n    }\n]'],
  ['{"2":0,"10":0,"1":0}', '{\n    "2": 0,\n    "10": 0,\n    "1": 0\n}'],
  ['{"a":1,"b":2,"a":3}', '{\n    "a": 3,\n    "b": 2\n}'],
  ['{"__proto__":{"a":1}}', '{\n    "__proto__": {\n        "a": 1\n    }\n}'],
])('%s is printed as Python prints it', (json, printed) => {
  expect(pythonJson(readOrderedJson(json))).toBe(printed)
})

it.each([
  ['grüß', '"gr\\u00fc\\u00df"'],
  ['😀', '"\\ud83d\\ude00"'],
  ['\ud800', '"\\ud800"'],
  ['a/b"c\\d', '"a/b\\"c\\\\d"'],
  ['\b\f\n\r\t\0\x1f', '"\\b\\f\\n\\r\\t\\u0000\\u001f"'],
  ['\x7f\u2028', '"\\u007f\\u2028"'],
])('the text %j is printed in ASCII', (text, printed) => {
  expect(pythonJson(readOrderedJson(JSON.stringify(text)))).toBe(printed)
})

it.each([
  ['0', '0'],
  ['-0', '0'],
  ['123456789012345678901234567890', '123456789012345678901234567890'],
  ['1.0', '1.0'],
  ['-0.0', '-0.0'],
  ['1e2', '100.0'],
  ['0.0001', '0.0001'],
  ['0.00001', '1e-05'],
  ['1.5E-7', '1.5e-07'],
  ['1e15', '1000000000000000.0'],
  ['1e16', '1e+16'],
  ['123456789012345680.0', '1.2345678901234568e+17'],
  ['1e100', '1e+100'],
  ['5e-324', '5e-324'],
])('the number %s is printed as %s', (number, printed) => {
  expect(pythonJson(readOrderedJson(number))).toBe(printed)
})

it('a number that is too large for a float is rejected', () => {
  expect(() => pythonJson(readOrderedJson('[-1e999]'))).toThrow('out of range: -1e999')
})

it('a text that is not JSON is rejected', () => {
  expect(() => readOrderedJson('{"a":1,}')).toThrow(SyntaxError)
})

it('JSON that would exhaust the stack is rejected', () => {
  expect(() => readOrderedJson('['.repeat(100_000) + ']'.repeat(100_000))).toThrow('nested more than 100 levels')
})
