import { stripVTControlCharacters, styleText } from 'node:util'
import { createLogUpdate } from 'log-update'
import { cutEnd } from '../../lib/text/cut.ts'
import { describeDuration } from '../../lib/text/units.ts'
import { describeProgress, type WireProgress } from '../wire/progress.ts'
import type { PullView, TerminalOptions } from './pull-view.ts'

const FRAMES = [...'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏']
const FRAME_MS = 100
/** Phases that alternate are shown as one step. */
const STEPS: Readonly<Record<string, string>> = {
  fetching: 'build',
  building: 'build',
  built: 'build',
  importing: 'import',
  unpacking: 'import',
}
/** Number of lines of the builder's log that are shown. */
const LOG_LINES = 6

/** Shows completed steps with their durations, the current step below them, and the latest lines of the builder's log. */
export function createLiveView({ image, output }: TerminalOptions): PullView {
  const update = createLogUpdate(output)
  const startedAt = performance.now()
  let log: string[] = []
  let step: { group: string; text: string; startedAt: number } | undefined
  let frame = 0

  const draw = () => {
    frame += 1
    if (!step) return
    const spinner = styleText('cyan', FRAMES[frame % FRAMES.length] ?? '')
    const head = `${spinner} ${step.text}  ${styleText('dim', since(step.startedAt))}`
    update([head, ...log.map(line => styleText('dim', `  │ ${line}`))].join('\n'))
  }
  const timer = setInterval(draw, FRAME_MS)

  const persist = (mark: string, text: string) => {
    update.clear()
    output.write(`${mark} ${text}\n`)
  }
  const endStep = (mark = styleText('green', '✓')) => {
    if (!step) return
    persist(mark, `${step.text}  ${styleText('dim', since(step.startedAt))}`)
    step = undefined
    log = []
  }

  return {
    progress(progress: WireProgress) {
      if (progress.phase === 'log') {
        const width = (output.columns ?? 80) - 6
        log = [...log, cutEnd(stripVTControlCharacters(progress.text), width)].slice(-LOG_LINES)
      } else {
        const group = STEPS[progress.phase] ?? progress.phase
        const isNext = group !== step?.group
        if (isNext) endStep()
        const text = describeProgress(progress)
        step = isNext || !step ? { group, text, startedAt: performance.now() } : { ...step, text }
      }
      draw()
    },
    done(imageId) {
      endStep()
      persist(
        styleText('green', '✓'),
        `${styleText('bold', image)} is ${imageId}  ${styleText('dim', since(startedAt))}`,
      )
    },
    failed: () => endStep(styleText('red', '✗')),
    close() {
      clearInterval(timer)
      update.clear()
      update.done()
    },
  }
}

function since(startedAt: number): string {
  return describeDuration(performance.now() - startedAt)
}
