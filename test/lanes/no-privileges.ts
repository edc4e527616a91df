/**
 * Runs before each unit test file, in its process. It takes away what a unit test must not depend on: the programs of the machine,
 * and the privileges of root where the tests run as root.
 */
import { readFileSync } from 'node:fs'

const NOBODY = 65_534

process.env.PATH = ''
if (process.getuid?.() === 0 && canNobodyRead(import.meta.filename)) becomeNobody()

/** A checkout below /root is for root alone: without privileges a process could not even load vitest from it. */
function canNobodyRead(path: string): boolean {
  process.seteuid?.(NOBODY)
  try {
    return readFileSync(path).length > 0
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
