/**
 * Decides the conditions of a tenant. Each is a chain of cases, where the first that holds decides. Messages are written
 * for users who read `kubectl get ct` and want to know what to do.
 */
import { Annotation } from '../../api/names.ts';
import { HealthyReason, ReadyReason, ReconcilingReason, StalledReason } from '../../api/conditions.ts';
import { type Verdict, verdictFalse, verdictTrue, verdictUnknown } from '../../kube/write/conditions.ts';
import { isAsleep, isStopped, type CopilotTenant } from '../../resources/tenant.ts';
import type { ServerObservation, TenantCause, Wait } from '../model.ts';
import { asleepVerdict } from './hibernated.ts';
import { limitationsMessage } from './limitations.ts';

/** What the conditions are decided from. */
export interface Findings {
  readonly tenant: CopilotTenant;
  /** The desired servers, in the order of their index. */
  readonly servers: readonly ServerObservation[];
  /** What requires user action. */
  readonly cause: TenantCause | undefined;
  /** The part of it that keeps servers from serving. */
  readonly servingCause: TenantCause | undefined;
  /** What is waited for without user action. */
  readonly waits: readonly Wait[];
  /** Servers are being replaced, or wait for it. */
  readonly rolling: boolean;
  /** A user has paused the tenant. */
  readonly paused: boolean;
  /** Why servers wait for the roll-out of the operator's version. */
  readonly pendingRollout: string | undefined;
  /** Names of the servers that were restarted and are not ready yet. */
  readonly restarting: readonly string[];
  /** Names of the servers that drain: they serve, also one that refuses the operator because it runs with the credentials from before a rotation. */
  readonly draining: readonly string[];
  /** By name, for each Unhealthy server: why, and what the operator does about it. */
  readonly healthMessages: ReadonlyMap<string, string>;
  /** Names of the servers beyond `spec.replicas` that are still running, highest index first. */
  readonly surplus: readonly string[];
  /** Names of the servers whose volumes are smaller than their claims request. */
  readonly resizing: readonly string[];
  /** An error that is being retried. */
  readonly error: string | undefined;
}

/** The message about an unhealthy server if nothing more is known of it. */
export const NO_RESPONSE = 'no response';

/** The condition Ready. */
export function readyVerdict(findings: Findings): Verdict {
  const verdict = servingVerdict(findings);
  // `kubectl get` shows this message and not that of Reconciling.
  return findings.paused ? { ...verdict, message: `${verdict.message} The tenant is paused.` } : verdict;
}

function servingVerdict(findings: Findings): Verdict {
  const { tenant, servers, cause, servingCause, waits, rolling, restarting, draining } = findings;
  const others = servers.filter(({ name }) => !draining.includes(name));
  const waiting = others.filter(({ ready }) => !ready);
  const unhealthy = others.filter(({ state }) => state === 'Unhealthy');
  if (tenant.metadata.deletionTimestamp !== undefined) {
    return verdictFalse(ReadyReason.Deleting, 'The tenant is being deleted.');
  }
  if (servingCause !== undefined) return verdictFalse(servingCause.reason, servingCause.message);
  if (tenant.spec.suspend) {
    const what = waits.some(({ reason }) => reason === ReconcilingReason.Draining)
      ? 'servers stop when their running turns have ended'
      : 'no servers run';
    return verdictFalse(ReadyReason.Suspended, `spec.suspend is true: ${what}; volumes are kept.`);
  }
  if (isAsleep(tenant))
    return asleepVerdict(tenant, { asleep: ReadyReason.Hibernated, failed: ReadyReason.WakeFailed });
  if (servers.length === 0) return verdictFalse(ReadyReason.ScaledToZero, 'spec.replicas is 0: no servers run.');
  const [first, ...further] = unhealthy;
  if (first !== undefined) {
    const more = further.length > 0 ? ` Also unhealthy: ${names(further)}.` : '';
    return verdictFalse(ReadyReason.ServersUnhealthy, `${healthMessage(first, findings)}${more}`);
  }
  if (restarting.length > 0) {
    return verdictFalse(ReadyReason.ServersUnhealthy, restartingMessage(restarting));
  }
  // What was refused there may be no part of a server, but none starts again either.
  if (waiting.length > 0 && cause?.reason === StalledReason.NamespaceTerminating) {
    return verdictFalse(cause.reason, cause.message);
  }
  if (waiting.length > 0) {
    const [wait] = waits;
    return rolling
      ? verdictFalse(
          ReadyReason.ServersUpdating,
          `Replacing ${waiting.length} of ${servers.length} servers: ${names(waiting)}.`,
        )
      : verdictFalse(ReadyReason.ServersStarting, wait?.message ?? startingMessage(waiting, servers));
  }
  // `kubectl get` shows this message and not those of Stalled and Reconciling.
  const change = rolling ? ' They are about to be replaced, one at a time.' : '';
  const problem = cause === undefined ? change : ` Not as specified: ${cause.message}`;
  return verdictTrue(ReadyReason.ServersReady, `${servers.length} of ${servers.length} servers are ready.${problem}`);
}

/** The condition Stalled. */
export function stalledVerdict({ cause }: Findings): Verdict {
  return cause === undefined
    ? verdictFalse(StalledReason.NotStalled, 'No problems detected.')
    : verdictTrue(cause.reason, cause.message);
}

/** The condition Reconciling. */
export function reconcilingVerdict(findings: Findings): Verdict {
  const { tenant, servers, cause, waits, surplus, restarting, resizing, rolling, pendingRollout, error } = findings;
  const [wait] = waits;
  const stopping = servers.flatMap((server) => server.stopping);
  const starting = servers.filter(({ ready }) => !ready);
  if (tenant.metadata.deletionTimestamp !== undefined) {
    return verdictTrue(ReconcilingReason.Deleting, "Deleting the tenant's resources.");
  }
  if (findings.paused) {
    return verdictFalse(
      ReconcilingReason.Paused,
      `The annotation ${Annotation.paused} is "true": the operator observes the tenant and changes nothing. ` +
        `To continue, run kubectl annotate ct/${tenant.metadata.name} ${Annotation.paused}-.`,
    );
  }
  if (error !== undefined) return verdictTrue(ReconcilingReason.RetryingAfterError, error);
  if (cause !== undefined)
    return verdictFalse(ReconcilingReason.Blocked, 'User action is required; see the condition Stalled.');
  if (wait !== undefined) return verdictTrue(wait.reason, wait.message);
  if (surplus.length > 0)
    return verdictTrue(ReconcilingReason.ScalingDown, `Scaling down: stopping ${surplus.join(', ')}.`);
  if (isStopped(tenant)) {
    const why = tenant.spec.suspend ? ReconcilingReason.Suspending : ReconcilingReason.Hibernating;
    return stopping.length > 0
      ? verdictTrue(why, 'Stopping all servers.')
      : verdictFalse(ReconcilingReason.UpToDate, 'All servers are stopped.');
  }
  if (restarting.length > 0) return verdictTrue(ReconcilingReason.ServersRestarting, restartingMessage(restarting));
  if (rolling) return verdictTrue(ReconcilingReason.ServersUpdating, 'Replacing servers one at a time.');
  if (starting.some(({ state }) => state !== 'Unhealthy')) {
    return verdictTrue(ReconcilingReason.ServersStarting, startingMessage(starting, servers));
  }
  if (resizing.length > 0)
    return verdictTrue(ReconcilingReason.VolumeResizing, `Expanding the volumes of servers: ${resizing.join(', ')}.`);
  // False: the tenant is as specified, and may wait for long.
  if (pendingRollout !== undefined) return verdictFalse(ReconcilingReason.RolloutPending, pendingRollout);
  return verdictFalse(ReconcilingReason.UpToDate, 'All resources match the spec.');
}

/** The condition Healthy; undefined, so unchanged, while a process that has just started has no ping results yet. */
export function healthyVerdict(findings: Findings): Verdict | undefined {
  const { tenant, servers } = findings;
  if (isStopped(tenant) || servers.length === 0) {
    return verdictUnknown(
      HealthyReason.NoServers,
      isAsleep(tenant)
        ? 'No servers are expected to run: the tenant sleeps.'
        : 'No servers are expected to run: the tenant is suspended or scaled to zero.',
    );
  }
  if (servers.some(({ remembered }) => remembered)) return undefined;
  for (const server of servers) {
    const { health } = server;
    if (health.state === 'Unhealthy')
      return verdictFalse(HealthyReason[health.reason], healthMessage(server, findings));
  }
  const unanswered = servers.filter(({ health }) => health.state !== 'Healthy');
  if (unanswered.length > 0) {
    const message = `Waiting for the first ping response from ${unanswered.length} of ${servers.length} servers: ${names(unanswered)}.`;
    return verdictUnknown(HealthyReason.AwaitingPing, message);
  }
  const limited = servers.flatMap(({ name, health }) =>
    health.state === 'Healthy' && health.lacks !== undefined ? [limitationsMessage(name, health.lacks)] : [],
  );
  const responding = `${servers.length} of ${servers.length} servers respond to pings.`;
  return verdictTrue(HealthyReason.Healthy, [responding, ...limited.slice(0, MAX_NAMED)].join(' '));
}

function healthMessage({ name }: ServerObservation, { healthMessages }: Findings): string {
  return `Server ${name}: ${healthMessages.get(name) ?? NO_RESPONSE}`.replace(/\.?$/, '.');
}

function startingMessage(starting: readonly ServerObservation[], servers: readonly ServerObservation[]): string {
  return `Waiting for ${starting.length} of ${servers.length} servers to start and respond: ${names(starting)}.`;
}

function restartingMessage(restarting: readonly string[]): string {
  return `Restarting unresponsive servers: ${restarting.join(', ')}.`;
}

const MAX_NAMED = 5;

// Names rarely change; a duration or a number of attempts would make every reconcile write the status.
function names(servers: readonly ServerObservation[]): string {
  const listed = servers.slice(0, MAX_NAMED).map(({ name }) => name);
  const more = servers.length > MAX_NAMED ? [`${servers.length - MAX_NAMED} more`] : [];
  return [...listed, ...more].join(', ');
}
