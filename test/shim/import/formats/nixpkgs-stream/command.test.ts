import { expect, it } from 'vitest'
import { findStreamCommand } from '../../../../../shim/import/formats/nixpkgs-stream/program.ts'

const program = `/nix/store/${'a'.repeat(32)}-stream`
const conf = `/nix/store/${'b'.repeat(32)}-my.app-conf.json`
const bash = `#! /nix/store/${'c'.repeat(32)}-bash-5.2/bin/bash -e`

it.each([
  `${bash}\nexec "${program}"  ${conf} "$@" \n`,
  `${bash}\nexec "${program}" "${conf}" "$@"`,
  `#!/bin/sh\n\n# a wrapper\nexec ${program} '${conf}'\n`,
])('a wrapper of the program is recognized: %j', script => {
  expect(findStreamCommand(script)).toEqual({ program, conf })
})

it.each([
  ['is no script', `exec "${program}" ${conf} "$@"`],
  ['does something before', `${bash}\nexport A=1\nexec "${program}" ${conf} "$@"`],
  ['does something afterwards', `${bash}\n"${program}" ${conf} "$@"\necho done`],
  ['pipes the image on', `${bash}\nexec "${program}" ${conf} | gzip`],
  ['gives other arguments', `${bash}\nexec "${program}" --more ${conf} "$@"`],
  ['is no script of a shell', `#!/usr/bin/python3\nexec "${program}" ${conf} "$@"`],
  ['runs another program', `${bash}\nexec "${program}-other" ${conf} "$@"`],
  ['runs a program out of the store', `${bash}\nexec "/tmp/${'a'.repeat(32)}-stream" ${conf} "$@"`],
  ['reads a conf out of the store', `${bash}\nexec "${program}" /etc/x-conf.json "$@"`],
  ['reads a conf below a store path', `${bash}\nexec "${program}" ${program}/x-conf.json "$@"`],
  ['climbs out of the store', `${bash}\nexec "${program}" /nix/store/../x-conf.json "$@"`],
  ['is run by another program that is called so', `#!/bin/notsh --sh\nexec "${program}" ${conf} "$@"`],
  ['gives its shell other options', `${bash}x\nexec "${program}" ${conf} "$@"`],
  ['has a command that looks like a comment', `${bash}\n\u00a0# x\nexec "${program}" ${conf} "$@"`],
  ['has a carriage return', `${bash}\nexec "${program}" ${conf} "$@"\r\n`],
  ['is empty', ''],
])('a script that %s is not recognized', (_, script) => {
  expect(findStreamCommand(script)).toBeUndefined()
})
