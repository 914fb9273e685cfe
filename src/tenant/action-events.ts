/** The events of what a reconcile did, as opposed to those of transitions in the status. */
import { type EventContent, normal, warning } from '../kube/runtime/events.ts';
import type { Outcome } from './apply.ts';
import type { Plan } from './plan.ts';
import type { ServerPlan } from './server-plan.ts';
import { EventReason } from './transitions.ts';

/** What a reconcile did that users should know of. */
export function actionEvents(plan: Plan, outcome: Outcome): EventContent[] {
  const { rotated, adopted, undone, restarted, sweepFailures } = outcome;
  const volumes = plan.servers.flatMap(({ adoptedVolume }) => adoptedVolume ?? []);
  const event = (reason: string, message: string) => ({ reason, message });
  return [
    ...(rotated && plan.rotation !== undefined ? [normal(event(EventReason.TokenRotated, plan.rotation.message))] : []),
    ...volumes.map(({ reason, message }) =>
      (reason === 'Labelled' ? warning : normal)(event(EventReason.VolumeAdopted, message)),
    ),
    ...(adopted.length > 0 ? [normal(event(EventReason.ChildrenAdopted, adoptionMessage(adopted)))] : []),
    ...undone.map((message) => warning(event(EventReason.PolicyUndone, message))),
    ...rolledOutBy(plan, outcome).map(({ name }) =>
      normal(
        event(EventReason.ServerRolledOut, `Replacing server ${name}: the operator has a newer pod template or default image.`),
      ),
    ),
    ...restarted.map(({ name, restart }) =>
      warning(event(EventReason.ServerRestarted, `Restarting server ${name}: ${restart?.message}`)),
    ),
    ...sweepFailures.map((message) => warning(event(EventReason.SweepFailed, message))),
  ];
}

/** The servers that the roll-out of the operator's version has replaced: a plan whose write was refused is tried again. */
export function rolledOutBy({ rolledOut = [] }: Plan, { servers }: Outcome): ServerPlan[] {
  return rolledOut.filter(({ index, live }) => servers.get(index)?.deployment !== live.deployment);
}

function adoptionMessage(adopted: readonly string[]): string {
  return `Took over ${adopted.join(', ')}: without an owner, with the labels and the annotation that the operator gives to children of this tenant.`;
}
