// Part of `npm run conformance -- versions`, and not of `npm test`.
import { describeBuilds } from '../../test/shim/nix/builder-suite.ts'
import { describeInterruptions } from '../../test/shim/nix/interruption-suite.ts'
import { NEWER_NIX } from '../../test/shim/nix/newer-nix.ts'
import { describeSharedBuilds } from '../../test/shim/nix/shared-build-suite.ts'

describeBuilds({ ...NEWER_NIX, ways: ['through a daemon'] })
describeInterruptions({ ...NEWER_NIX, ways: ['through a daemon'] })
describeSharedBuilds({ ...NEWER_NIX, onlyNix: true })
