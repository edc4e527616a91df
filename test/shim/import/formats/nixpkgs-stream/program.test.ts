import { expect, it } from 'vitest'
import { recognizeStreamProgram } from '../../../../../shim/import/formats/nixpkgs-stream/program.ts'
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
const recognize = (source: string) => recognizeStreamProgram(source, knownPrograms([[SOURCE, PROGRAM]]))

it.each([
  ['an interpreter', `#! /nix/store/${'a'.repeat(32)}-python3-3.13/bin/python3\n${SOURCE}`],
  ['other comments', SOURCE.replace('# As in all layers.', '').replace('in seconds', 'since 1970')],
  ['other docstrings', SOURCE.replace('Sets what is', '\n    Sets all that is').replace('What it does.', 'Prints.')],
  ['other empty lines', SOURCE.replace(/\n\n/g, '\n').replace('    return', '\n  \n    return')],
  ['spaces at the ends of lines', SOURCE.replace(/entry$/gm, 'entry  ')],
])('a known program with %s is recognized', (_, source) => {
  expect(source).not.toBe(SOURCE)
  expect(recognize(source)).toEqual(PROGRAM)
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
  ['an interpreter other than Python', '"""\nWhat', '#!/bin/perl\n"""\nWhat'],
  ['an option of its interpreter', '"""\nWhat', '#!/bin/python3 -x\n"""\nWhat'],
  ['a string without an end', 'sys.argv[1]', 'sys.argv[1"]'],
  ['a line behind a carriage return in a comment', '# in seconds', '# in seconds\r    entry.mode = 0'],
  ['a line behind a carriage return in a docstring', 'What it does.', 'What"""\rimport evil\r"""'],
  ['a NUL', '# As in', '#\0As in'],
  ['a form feed', '    # As in', '\f    # As in'],
  ['a tab', '    # As in', '\t# As in'],
  ['a line separator', '# in seconds', '# in seconds\u2028entry.mode = 0'],
  ['a mark of its byte order', '"""\nWhat', '\ufeff"""\nWhat'],
  ['an encoding in which comments hold code', '"""\nWhat', '# -*- coding: utf-7 -*-\n# +AAo-import evil\n"""\nWhat'],
  ['an encoding in its second line', '"""\nWhat', '#!/bin/python3\n# vim: set fileencoding=utf-7 :\n"""\nWhat'],
  ['a line that continues in an empty one', 'sys.argv[1],', 'sys.argv[1], \\\n\n'],
  ['a backslash within a line', 'sys.argv[1]', 'sys.argv \\[1]'],
  ['a text by itself in another place', '    return', '    "entry"\n    return'],
  ['three quotes that nothing closes', '"""1\n    """', '"""1\n    ""'],
])('a program that differs by %s is not recognized', (_, text, other) => {
  const source = SOURCE.replace(text, other)
  expect(source).not.toBe(SOURCE)
  expect(recognize(source)).toBeUndefined()
})
