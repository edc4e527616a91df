/**
 * Runs before each unit test file, in its process. It takes away what a unit test must not depend on: the programs of the machine,
 * and the privileges of root where the tests run as root.
 */
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const NOBODY = 65_534

process.env.PATH = ''
if (process.getuid?.() === 0 && canNobodyWork()) becomeNobody()

/** A checkout or a folder for temporary files below /root is for root alone. Then the tests keep root's privileges. */
function canNobodyWork(): boolean {
  process.seteuid?.(NOBODY)
  try {
    for (const file of [import.meta.filename, ...process.argv.slice(1, 2)]) readFileSync(file)
    rmdirSync(mkdtempSync(join(tmpdir(), 'enbi-nobody-')))
    return true
  } catch {
    return false
  } finally {
    process.seteuid?.(0)
  }
}

function becomeNobody(): void {
  process.setgroups?.([])
  process.setgid?.(NOBODY)
  process.setuid?.(NOBODY)
}
