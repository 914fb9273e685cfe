/** Decides which servers of all tenants may be replaced now, for an upgrade of the operator or because they do not respond. */

/** The budget as the plan of one tenant asks for it. */
export interface RolloutBudget {
  /** Whether the roll-out is paused. */
  readonly paused: boolean;
  /** Asks for a place in the roll-out; `server` is a server of the tenant. */
  rollOut(server: string, how?: RolloutAsk): BudgetDecision;
  /** The server is not written yet, because it drains first: it keeps the place that it was given. */
  hold(server: string): void;
  /** Asks for the restart of a server that does not respond. */
  restart(server: string): BudgetDecision;
}

/** Which place in the roll-out is asked for. */
export interface RolloutAsk {
  /** Since when the server drains for it, as its status says: it has its place already. Undefined: it does not. */
  readonly drainsSince?: string | undefined;
  /** Its tenant wants a fresh process of the version that it has. */
  readonly isRecycled?: boolean | undefined;
}

/** What of the operator's budget is used. */
export interface BudgetUse {
  /** `--max-concurrent-rollouts`. */
  readonly max: number;
  /** Servers that are being replaced, and do not respond yet. */
  readonly running: readonly string[];
  /** Those of them that should respond by now. */
  readonly stuck: readonly string[];
}

/** The same of the roll-out of the operator's version. */
export interface RolloutUse extends BudgetUse {
  /** The process has just started, and does not know yet who waits and who responds. */
  readonly settling: boolean;
}

/** Whether a server may be replaced now, and why. */
export interface BudgetDecision {
  readonly allowed: boolean;
  readonly reason: 'Allowed' | 'Disabled' | 'Paused' | 'Waiting' | 'Restarting';
  readonly message: string;
}

/**
 * Whether the roll-out of the operator's current pod template and default image replaces `server` now. `waiting` are all servers that
 * wait for it. Each that does not respond afterwards keeps its place, so a version that does not start takes down no more servers than
 * the budget has places, and then pauses the roll-out. `first`: those that go before `server` whatever their names.
 */
export function rolloutAllowed(
  server: string,
  waiting: readonly string[],
  use: RolloutUse,
  first: readonly string[] = [],
): BudgetDecision {
  if (use.max === 0) {
    return refused(
      'Disabled',
      'They are not replaced for it, because the operator runs with --max-concurrent-rollouts=0. ' +
        'To replace them, suspend the tenant and resume it.',
    );
  }
  // Not the names: they may be of other tenants.
  if (isPaused(use) && !use.stuck.includes(server)) {
    return refused(
      'Paused',
      "The roll-out is paused, because the servers that it has replaced do not respond: see the operator's log.",
    );
  }
  if (!use.settling && isNext(server, waiting, use, first)) return NEXT;
  return refused('Waiting', `They wait: ${replacedAtATime(use.max)} (--max-concurrent-rollouts).`);
}

/** Whether the roll-out stands still, because all its places are taken by servers that should respond by now. */
export function isPaused({ max, stuck }: BudgetUse): boolean {
  return max > 0 && stuck.length >= max;
}

/**
 * Whether `server`, which does not respond, is restarted now. `waiting` are all servers that are to be restarted, in the order in which they
 * asked: by name, a tenant with many that never respond would keep the places from others.
 */
export function restartAllowed(server: string, waiting: readonly string[], use: BudgetUse): BudgetDecision {
  const at = waiting.indexOf(server);
  if (isNext(server, [], use, at === -1 ? waiting : waiting.slice(0, at))) return NEXT;
  return refused('Restarting', `Its restart waits: ${replacedAtATime(use.max)}, in case the network is the cause.`);
}

/** By name, so that every process and every reconcile choose the same servers; `first` go before them. */
function isNext(
  server: string,
  waiting: readonly string[],
  { max, running }: BudgetUse,
  first: readonly string[] = [],
): boolean {
  // It has a place already.
  if (running.includes(server)) return true;
  const free = max - running.length;
  const smaller = waiting.filter((other) => compareServers(other, server) < 0);
  const before = [...first, ...smaller].filter((other) => other !== server && !running.includes(other));
  return before.length < free;
}

/** The order of the roll-out. */
export const compareServers = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true });

const pausedTenant: BudgetDecision = { allowed: false, reason: 'Disabled', message: 'The tenant is paused.' };

/** The budget of a tenant that a user has paused: it takes no place. */
export const PAUSED_TENANT: RolloutBudget = {
  paused: false,
  rollOut: () => pausedTenant,
  restart: () => pausedTenant,
  hold: () => undefined,
};

/** The answer to who has a place. */
export const NEXT: BudgetDecision = { allowed: true, reason: 'Allowed', message: 'It is next.' };

const replacedAtATime = (max: number): string =>
  `at most ${max} of all servers ${max === 1 ? 'is' : 'are'} replaced at a time`;

const refused = (reason: BudgetDecision['reason'], message: string): BudgetDecision => ({
  allowed: false,
  reason,
  message,
});

/** What is known of the health of all servers. */
export interface FleetHealth {
  /** Servers that are pinged. */
  readonly total: number;
  /** Those that do not respond. */
  readonly unresponsive: number;
}

/** Above this share of all servers a failure is taken for one of the network, which restarts do not fix. */
const OUTAGE_SHARE = 0.2;

/** Whether so many servers do not respond at once that the cause is probably not in them. */
export function isOutage({ total, unresponsive }: FleetHealth, max: number): boolean {
  return unresponsive > max && unresponsive > OUTAGE_SHARE * total;
}
