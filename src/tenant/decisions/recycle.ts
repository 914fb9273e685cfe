/** Decides whether a server that works is replaced by a fresh one: `spec.server.recycle`. */
import type { ServerHealth } from '../../servers/server.ts';

/** What is known of a server that runs. */
export interface RecycleInput {
  /** Name of the server. */
  readonly server: string;
  /** `spec.server.recycle.maxAge`, as it is written and in ms. */
  readonly maxAge: { readonly text: string; readonly ms: number } | undefined;
  /** `spec.server.recycle.maxPingLatency`, as it is written. */
  readonly maxPingLatency: string | undefined;
  readonly health: ServerHealth;
  /** It drains to be recycled already. */
  readonly begun: boolean;
  /** When its process started, ms since the epoch; undefined: that is not known yet. */
  readonly startedAt: number | undefined;
  /** Wall clock, ms. */
  readonly now: number;
}

/** `wait`: until its age is due. */
export type RecycleDecision =
  | { readonly action: 'none'; readonly reason: 'NotWanted' | 'NotHealthy'; readonly message: string }
  | { readonly action: 'wait'; readonly reason: 'Young'; readonly message: string; readonly dueInMs: number }
  | { readonly action: 'recycle'; readonly reason: 'MaxAge' | 'MaxPingLatency'; readonly message: string };

/** A process that is slow is not replaced again before this age, in ms: then its load or its node is the cause, and a restart does not help. */
const LEAST_AGE_MS = 10 * 60_000;

/**
 * One that does not answer is restarted for that, at once. What has begun goes on: fewer turns make a server quick again while it drains, and
 * a process that has just started does not know its health.
 */
export function recycleDecision(input: RecycleInput): RecycleDecision {
  const { server, maxAge, maxPingLatency, health, begun, startedAt, now } = input;
  if (health.state !== 'Healthy' && !begun)
    return { action: 'none', reason: 'NotHealthy', message: `Server ${server} does not answer.` };
  const ageMs = startedAt === undefined ? undefined : now - startedAt;
  if (maxAge !== undefined && ageMs !== undefined && ageMs >= maxAge.ms) {
    const message = `Server ${server} has run for ${maxAge.text} (spec.server.recycle.maxAge).`;
    return { action: 'recycle', reason: 'MaxAge', message };
  }
  const isSlow = health.state === 'Healthy' && health.isSlow === true;
  const isOfAge = ageMs !== undefined && ageMs >= LEAST_AGE_MS;
  // The message has no measured time: it would be another one with each reconcile, and each change is a write.
  if (maxPingLatency !== undefined && (begun || (isSlow && isOfAge))) {
    const message = `Server ${server} answers pings later than after ${maxPingLatency} (spec.server.recycle.maxPingLatency).`;
    return { action: 'recycle', reason: 'MaxPingLatency', message };
  }
  const ages = [
    ...(maxAge === undefined ? [] : [maxAge.ms]),
    ...(maxPingLatency !== undefined && isSlow ? [LEAST_AGE_MS] : []),
  ];
  if (ageMs === undefined || ages.length === 0) {
    return { action: 'none', reason: 'NotWanted', message: `Nothing says that server ${server} is to be recycled.` };
  }
  const dueInMs = Math.min(...ages) - ageMs;
  return { action: 'wait', reason: 'Young', message: `Server ${server} is young.`, dueInMs };
}
