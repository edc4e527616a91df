import { describeBuilds } from './builder-suite.ts'

describeBuilds()
