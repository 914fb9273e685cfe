/** Reports what a reconcile did, as opposed to transitions in the status: events, the log, metrics. */
import type { Logger } from 'pino';
import { type EventContent, type EventRecorder, normal, warning } from '../kube/runtime/events.ts';
import type { ServerDrain } from '../api/tenant.ts';
import type { Clock } from '../kube/clock/clock.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import type { Outcome } from './apply.ts';
import { replicasOf } from './deployments.ts';
import type { CredentialDecision } from './decisions/binding-credential.ts';
import type { DrainEnd } from './decisions/drain.ts';
import type { TenantMetrics } from './metrics.ts';
import type { Plan } from './plan.ts';
import type { ServerPlan } from './server-plan.ts';
import { EventReason } from './transitions.ts';

/** What a reconcile did that users should know of. */
export function actionEvents(plan: Plan, outcome: Outcome): EventContent[] {
  const { rotated, adopted, undone, restarted, endedPods, sweepFailures } = outcome;
  const volumes = plan.servers.flatMap(({ adoptedVolume }) => adoptedVolume ?? []);
  const credential = rotatedCredential(plan, outcome);
  const event = (reason: string, message: string) => ({ reason, message });
  return [
    ...(rotated && plan.rotation !== undefined ? [normal(event(EventReason.TokenRotated, plan.rotation.message))] : []),
    ...(credential !== undefined ? [normal(event(EventReason.CredentialRotated, credential.message))] : []),
    ...volumes.map(({ reason, message }) =>
      (reason === 'Labelled' ? warning : normal)(event(EventReason.VolumeAdopted, message)),
    ),
    ...(adopted.length > 0 ? [normal(event(EventReason.ChildrenAdopted, adoptionMessage(adopted)))] : []),
    ...undone.map((message) => warning(event(EventReason.PolicyUndone, message))),
    ...rolledOutBy(plan, outcome).map(({ name, recycles }) =>
      normal(
        recycles === undefined
          ? event(
              EventReason.ServerRolledOut,
              `Replacing server ${name}: the operator has a newer pod template or default image.`,
            )
          : event(EventReason.ServerRecycled, recycles.message),
      ),
    ),
    ...endedDrains(plan, outcome)
      .filter(({ end }) => end === 'DeadlinePassed')
      .map(({ name }) =>
        warning(
          event(
            EventReason.DrainDeadlinePassed,
            `Server ${name}: the gateway has not said within spec.drain.timeout that all turns have ended. Those that still run are cut.`,
          ),
        ),
      ),
    ...restarted.map(({ name, restart }) =>
      warning(event(EventReason.ServerRestarted, `Restarting server ${name}: ${restart?.message}`)),
    ),
    ...endedPods.map(({ reason, message }) => warning(event(EventReason[reason], message))),
    ...sweepFailures.map((message) => warning(event(EventReason.SweepFailed, message))),
  ];
}

/** Where it is reported. */
export interface ActionReport {
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly metrics: Pick<TenantMetrics, 'restarted' | 'drained'>;
  readonly clock: Pick<Clock, 'now'>;
}

/** Records the events, and what is of interest to the operator's admin. */
export function reportActions(
  { recorder, metrics, clock }: ActionReport,
  tenant: CopilotTenant,
  plan: Plan,
  outcome: Outcome,
  log: Pick<Logger, 'info' | 'warn'>,
): void {
  for (const { type, reason, message } of actionEvents(plan, outcome)) recorder.event(tenant, type, reason, message);
  for (const { name, recycles } of rolledOutBy(plan, outcome)) {
    if (recycles === undefined) log.info({ server: name }, 'replacing server for a new operator version');
    else log.info({ server: name, reason: recycles.reason }, 'recycling server');
  }
  for (const { name, end, drain } of endedDrains(plan, outcome)) {
    const ms = Math.max(0, clock.now() - Date.parse(drain.since));
    log.info({ server: name, end, ms }, 'drained server');
    metrics.drained(end, ms);
  }
  for (const { name, restart } of outcome.restarted) {
    log.warn({ server: name, ...restart }, 'restarting unresponsive server');
    metrics.restarted();
  }
}

/** The servers that the roll-out of the operator's version has replaced: a plan whose write was refused is tried again. */
function rolledOutBy({ rolledOut = [] }: Plan, { servers }: Outcome): ServerPlan[] {
  return rolledOut.filter(({ index, live }) => servers.get(index)?.deployment !== live.deployment);
}

interface EndedDrain {
  readonly name: string;
  readonly end: DrainEnd;
  readonly drain: ServerDrain;
}

/** The drains after which this reconcile has replaced or stopped the pod: a write that was refused is tried again. */
function endedDrains({ servers, surplus, drains }: Plan, outcome: Outcome): EndedDrain[] {
  const written = servers.filter(
    ({ index, deployment, live }) =>
      deployment !== undefined && outcome.servers.get(index)?.deployment !== live.deployment,
  );
  const stopped = surplus.flatMap(({ index, deployment: live }) =>
    live === undefined || replicasOf(live) === 0 || !outcome.removed.includes(index)
      ? []
      : { index, name: live.metadata.name },
  );
  return [...written, ...stopped].flatMap(({ index, name }) => {
    const { end, drain } = drains?.get(index) ?? {};
    return end === undefined || end === 'Leaving' || drain === undefined ? [] : { name, end, drain };
  });
}

/** The credential, if it replaces another one from now on. */
function rotatedCredential({ clients }: Plan, { credentials }: Outcome): CredentialDecision | undefined {
  const { credential } = clients;
  const isNew = credential !== undefined && credential.reason !== 'Kept' && credentials === credential.valid;
  return isNew && credential.valid.length > 1 ? credential : undefined;
}

function adoptionMessage(adopted: readonly string[]): string {
  return `Took over ${adopted.join(', ')}: without an owner, with the labels and the annotation that the operator gives to children of this tenant.`;
}
