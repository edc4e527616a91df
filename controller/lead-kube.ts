import type { Kube } from '../kube/client/contract.ts'
import { limitRequests, type RequestRate } from '../kube/client/request-limit.ts'
import type { Lead } from '../kube/leader-election.ts'
import { RetryableError } from '../lib/errors.ts'

/**
 * The API server for one time of leading, asked at a limited rate. When the lead is lost, calls are cancelled, and
 * nothing more is written.
 */
export function createLeadKube(kube: Kube, lead: Lead, rate: RequestRate): Kube {
  return cancelAfter(lead, limitRequests(fenceWrites(lead, kube), rate))
}

/** The timer that ends a lead may be late, for example if the process was suspended. */
function fenceWrites(lead: Lead, kube: Kube): Kube {
  function assertHeld(): void {
    if (!lead.isHeld()) throw new RetryableError('Cancelled', 'this replica does not lead any more')
  }

  return {
    ...kube,
    async create(...call) {
      assertHeld()
      return kube.create(...call)
    },
    async patch(...call) {
      assertHeld()
      return kube.patch(...call)
    },
    async replace(...call) {
      assertHeld()
      return kube.replace(...call)
    },
    async delete(...call) {
      assertHeld()
      return kube.delete(...call)
    },
  }
}

function cancelAfter({ signal }: Lead, kube: Kube): Kube {
  return {
    ...kube,
    get: (kind, name, options) => kube.get(kind, name, { ...options, signal }),
    list: (kind, selection, onItem, options) => kube.list(kind, selection, onItem, { ...options, signal }),
    create: (kind, object, options) => kube.create(kind, object, { ...options, signal }),
    patch: (kind, object, options) => kube.patch(kind, object, { ...options, signal }),
    replace: (kind, object, options) => kube.replace(kind, object, { ...options, signal }),
    delete: (kind, name, options) => kube.delete(kind, name, { ...options, signal }),
  }
}
