#!/usr/bin/env -S node --max-semi-space-size=2 --max-old-space-size=256
import { nodeJsProblem } from '../lib/node-version.ts'

const problem = nodeJsProblem('enbi-shim', process.versions.node, process.execPath)
if (problem === undefined) import('./program.ts').then(({ run }) => run())
else {
  process.stderr.write(`${problem}\n`)
  process.exitCode = 1
}
