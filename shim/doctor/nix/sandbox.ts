import { hostSystem } from '../../../recipes/system.ts'
import { type Finding, ok, skipped, warning } from '../probes/finding.ts'

/** The output, or why nix failed, with its complete log. */
export type NixAnswer = { readonly stdout: string } | { readonly problem: string; readonly log: string }

export type RunNix = (args: readonly string[]) => Promise<NixAnswer>

/**
 * Whether builds run in a sandbox. Not every daemon reports this, so derivations that always fail try it. They leave
 * only their .drv files.
 */
export async function judgeSandbox(run: RunNix): Promise<Finding> {
  const usual = readProbe(await run(probe('')))
  if (usual === 'open')
    return warning(
      'builds run without a sandbox: builds of pods, and programs that write images, see the files and the network of the node',
      'set sandbox = true in nix.conf, and restart the Nix daemon',
    )
  if (usual !== 'closed') return skipped(`cannot check the sandbox: ${usual.problem}`)
  if (readProbe(await run(probe('__noChroot = true;'))) === 'open')
    return warning(
      'packages can be built outside the sandbox if they ask for it',
      'set sandbox = true, not relaxed, in nix.conf, and restart the Nix daemon',
    )
  return ok('builds run in a sandbox')
}

/** Nix never makes root's home visible in a sandbox, and every machine has one. */
const LOOK = 'test -e /root && exit 11; exit 10'

function probe(more: string): string[] {
  const derivation = `derivation {
    name = "enbi-shim-doctor";
    system = "${hostSystem()}";
    builder = "/bin/sh";
    args = [ "-c" "${LOOK}" ];
    allowSubstitutes = false;
    preferLocalBuild = true;
    ${more}
  }`
  return ['build', '--no-link', '--expr', derivation]
}

function readProbe(answer: NixAnswer): 'open' | 'closed' | { readonly problem: string } {
  if (!('problem' in answer)) return { problem: 'a build that must fail did not' }
  if (answer.log.includes('failed with exit code 11')) return 'open'
  if (answer.log.includes('failed with exit code 10')) return 'closed'
  // The machine has a shell, and the sandbox does not.
  if (answer.log.includes("executing '/bin/sh'")) return 'closed'
  // Nix's message when a sandbox is required.
  if (answer.log.includes("has '__noChroot' set")) return 'closed'
  return { problem: answer.problem }
}
