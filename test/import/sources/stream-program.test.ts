import { expect, it } from 'vitest'
import { recogniseStreamProgram } from '../../../shim/import/sources/stream-program.ts'
import { knownPrograms } from './stream-store.ts'

const SOURCE = `"""
What it does.
"""

import sys


def owned(entry, mtime):
    """
    Sets what is in the "conf".
    """

    # As in all layers.
    entry.mtime = mtime  # in seconds
    entry.name = "/#" + entry.name
    return entry


print(owned(
    sys.argv[1],
    """1
    """,
))
`
const PROGRAM = { rootMode: 0o755, hasOwner: true, hasMtime: true }
const recognise = (source: string) => recogniseStreamProgram(source, knownPrograms([[SOURCE, PROGRAM]]))

it.each([
  ['an interpreter', `#! /nix/store/${'a'.repeat(32)}-python3-3.13/bin/python3\n${SOURCE}`],
  ['other comments', SOURCE.replace('# As in all layers.', '').replace('in seconds', 'since 1970')],
  ['other docstrings', SOURCE.replace('Sets what is', '\n    Sets all that is').replace('What it does.', 'Prints.')],
  ['other empty lines', SOURCE.replace(/\n\n/g, '\n').replace('    return', '\n  \n    return')],
  ['spaces at the ends of lines', SOURCE.replace(/entry$/gm, 'entry  ')],
])('a known program with %s is known', (_, source) => {
  expect(source).not.toBe(SOURCE)
  expect(recognise(source)).toEqual(PROGRAM)
})

it.each([
  ['one more line', '    return', '    entry.mode = entry.mode | 0o200\n    return'],
  ['a line that is missing', '    return entry\n', ''],
  ['one character', 'entry.mtime = mtime', 'entry.mtime = time'],
  ['a line at another depth', '    return', 'return'],
  ['something behind what looks like a comment', '"/#"', '"/#/"'],
  ['something behind a docstring', '"conf".\n    """', '"conf".\n    """; entry.mode = 0'],
  ['a line behind a carriage return in a comment', '# As in all layers.', '# As in all layers.\rentry.mode = 0'],
  ['how its text is encoded', '"""\nWhat', '# coding: utf-7\n"""\nWhat'],
  ['another string of several lines', '"""1', '"""2'],
  ['another line in a string', '"""1\n', '"""1\n    # 2\n'],
  ['a string without an end', 'sys.argv[1]', 'sys.argv[1"]'],
])('a program that differs by %s is not known', (_, text, other) => {
  const source = SOURCE.replace(text, other)
  expect(source).not.toBe(SOURCE)
  expect(recognise(source)).toBeUndefined()
})
