import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { PATIENT } from '../patience.ts'

/** Arguments of a set-up that runs this script. */
function setUp(script: string) {
  const code = `import { succeeds } from ${JSON.stringify(join(import.meta.dirname, 'run.mjs'))}
    const readLine = line => { console.log(line) }
    console.log(await succeeds('sh', ['-c', ${JSON.stringify(script)}], { readLine }))`
  return [process.execPath, ['--input-type=module', '--eval', code]] as const
}

const STARTS_ANOTHER = 'sleep 1000 & echo $!; wait'

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('a program of the set-up', () => {
  it.each([
    ['exit 0', 'true'],
    ['exit 3', 'false'],
  ])('with %s is reported as successful: %s', async (script, said) => {
    expect((await execa(...setUp(script))).stdout).toBe(said)
  })

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    'ends on %s together with every process that it started',
    async signal => {
      const child = execa(...setUp(STARTS_ANOTHER), { reject: false })
      const pid = await firstNumber(child.stdout)
      child.kill(signal)
      expect((await child).stderr).toContain('interrupted')
      await expect.poll(() => isAlive(pid), PATIENT).toBe(false)
    },
  )

  it('ends when the shell ends in which npm started the set-up', async () => {
    const [node, args] = setUp(STARTS_ANOTHER)
    const shell = execa('sh', ['-c', '"$@" && echo next', 'sh', node, ...args], { reject: false })
    const pid = await firstNumber(shell.stdout)
    shell.kill('SIGTERM')
    await expect.poll(() => isAlive(pid), PATIENT).toBe(false)
    expect((await shell).stdout).not.toContain('next')
  })
})

function firstNumber(output: NodeJS.ReadableStream): Promise<number> {
  return new Promise(resolve => output.once('data', chunk => resolve(Number(String(chunk)))))
}
