import { describeSharedBuilds } from './shared-build-suite.ts'

describeSharedBuilds()
