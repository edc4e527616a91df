#!/usr/bin/env node
import { nodeJsProblem } from '../../lib/node-version.ts'

const problem = nodeJsProblem('kubectl-nixbuild', process.versions.node, process.execPath)
if (problem === undefined) import('./program.ts').then(({ run }) => run())
else {
  process.stderr.write(`${problem}\n`)
  process.exitCode = 1
}
