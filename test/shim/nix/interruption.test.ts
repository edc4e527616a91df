import { describeInterruptions } from './interruption-suite.ts'

describeInterruptions()
