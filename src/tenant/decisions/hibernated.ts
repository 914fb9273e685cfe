/** Decides the condition Hibernated: what users read of a tenant's sleep. */
import type { Access } from '../../api/names.ts';
import { HibernatedReason } from '../../api/conditions.ts';
import type { Verdict } from '../../kube/write/conditions.ts';
import { verdictFalse, verdictTrue } from '../../kube/write/conditions.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { HibernationReason } from './hibernation.ts';

/** What the condition is decided from. */
export interface HibernatedInput {
  readonly tenant: CopilotTenant;
  readonly access: Access;
  /** Why it is in its phase; undefined: that was not decided now. */
  readonly reason: HibernationReason | undefined;
}

const AWAITING_GATEWAY = verdictFalse(
  HibernatedReason.AwaitingGateway,
  'The gateway has not said yet since when the tenant is unused.',
);

/** The condition; undefined: the tenant is not to sleep, and has none. */
export function hibernatedVerdict({ tenant, access, reason }: HibernatedInput): Verdict | undefined {
  const { spec } = tenant;
  if (spec.hibernation === undefined) return undefined;
  const { afterIdle } = spec.hibernation;
  if (access === 'Direct') {
    return verdictFalse(
      HibernatedReason.GatewayRequired,
      'Clients connect directly, so nothing would wake the tenant: it never sleeps. Set spec.access to Gateway.',
    );
  }
  if (spec.suspend || spec.replicas === 0) {
    const why = spec.suspend ? 'spec.suspend is true' : 'spec.replicas is 0';
    return verdictFalse(HibernatedReason.Suspended, `${why}: no servers run, and nobody wakes the tenant.`);
  }
  // The sleep is decided from the access that was stated before: of a new tenant that says nothing about who could be asked.
  if (reason === 'NotWanted' && tenant.status?.access !== access) return AWAITING_GATEWAY;
  if (reason === 'NotWanted') {
    return verdictFalse(
      HibernatedReason.WakeNotPossible,
      'The operator cannot be asked to wake tenants, so none sleeps: install the gateway with the current chart.',
    );
  }
  return phaseVerdict(tenant, afterIdle, reason);
}

function phaseVerdict({ status }: CopilotTenant, afterIdle: string, reason: HibernationReason | undefined): Verdict {
  const { phase = 'Running', failure } = status?.hibernation ?? {};
  if (phase === 'Draining') {
    return verdictFalse(HibernatedReason.FallingAsleep, 'Nobody uses the tenant: its servers are about to stop.');
  }
  if (phase === 'Waking') return verdictFalse(HibernatedReason.Waking, 'A client waits: servers are being started.');
  if (phase === 'Running') {
    return reason === 'Unknown'
      ? AWAITING_GATEWAY
      : verdictFalse(
          HibernatedReason.InUse,
          `Servers run. They stop when nobody has used the tenant for ${afterIdle}.`,
        );
  }
  if (failure === undefined) {
    return verdictTrue(HibernatedReason.Idle, `Nobody has used the tenant for ${afterIdle}: ${ASLEEP}`);
  }
  const next = 'The tenant sleeps again; the next call of a client tries again.';
  return verdictTrue(HibernatedReason.WakeFailed, `${failure.message} ${next}`);
}

const ASLEEP = 'no servers run, volumes are kept, and the first call of a client about a session wakes it.';

/** The condition Ready of a tenant that sleeps: clients can use it, unless it could not be woken. */
export function asleepVerdict(
  { status }: CopilotTenant,
  reasons: { readonly asleep: string; readonly failed: string },
): Verdict {
  const { failure } = status?.hibernation ?? {};
  return failure === undefined
    ? verdictTrue(reasons.asleep, `The tenant sleeps: ${ASLEEP}`)
    : verdictFalse(reasons.failed, `The tenant sleeps, and could not be woken: ${failure.message}`);
}
