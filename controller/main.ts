#!/usr/bin/env -S node --max-semi-space-size=4 --max-old-space-size=512
import { nodeJsProblem } from '../lib/node-version.ts'

const problem = nodeJsProblem('enbi-controller', process.versions.node, process.execPath)
if (problem === undefined) import('./program.ts').then(({ run }) => run())
else {
  process.stderr.write(`${problem}\n`)
  process.exitCode = 1
}
