/** How fast the clients of a tenant, and of each of its users, may connect and send (docs/adr/0048-vertical-limits.md). */
import { keyOf } from '../../kube/types/types.ts';
import type { Identity, RateLimit, TenantRates, TenantRef } from '../model.ts';
import { overdrawn, taken, tokensIn, waitMs, type Bucket, type BucketRate } from './token-bucket.ts';

/** What is measured. */
export type RateKind = keyof RateLimit;

/** Which rate was exceeded: whose, and of what. For metrics. */
export const RATE_RULES = [
  'TenantConnections',
  'TenantFrames',
  'TenantBytes',
  'UserConnections',
  'UserFrames',
  'UserBytes',
] as const;
export type RateRule = (typeof RATE_RULES)[number];

/** Why something is refused now. */
export interface RateExcess {
  readonly reason: RateRule;
  /** A sentence for the client. */
  readonly message: string;
  /** The field that says so, and its value. */
  readonly field: string;
  readonly limit: number;
  readonly retryAfterMs: number;
}

export interface RatesOptions {
  readonly clock: { monotonic(): number };
  /** `spec.rates` of the tenant now; undefined: there is none. */
  readonly ratesOf: (tenant: TenantRef) => TenantRates | undefined;
}

type Buckets = Map<RateKind, Bucket>;

interface TenantBuckets {
  readonly tenant: Buckets;
  /** Those of users that are not full. */
  readonly users: Map<string, Buckets>;
  /** As soon as there are so many users, it is looked for those whose buckets are full again. */
  pruneAt: number;
}

/** Seconds for which a client that has been quiet may send at once. */
const BURST_SECONDS = 10;
const MINUTE_SECONDS = 60;
/** Users of one tenant that are kept without a look at their buckets. */
const PRUNE_AT = 1024;

const RULES: Readonly<Record<RateKind, { readonly tenant: RateRule; readonly user: RateRule; readonly what: string }>> =
  {
    connectionsPerMinute: { tenant: 'TenantConnections', user: 'UserConnections', what: 'connections a minute' },
    framesPerSecond: { tenant: 'TenantFrames', user: 'UserFrames', what: 'messages a second' },
    bytesPerSecond: { tenant: 'TenantBytes', user: 'UserBytes', what: 'bytes a second' },
  };

/** Of the clients that are connected to this replica. A tenant without rates costs a look at it. */
export class Rates {
  readonly #options: RatesOptions;
  readonly #tenants = new Map<string, TenantBuckets>();

  constructor(options: RatesOptions) {
    this.#options = options;
  }

  /** A client was admitted. Returns why it is too much; else it counts. */
  connected(identity: Identity): RateExcess | undefined {
    const rates = this.#ratesOf(identity);
    return rates && this.#take(identity, rates, [['connectionsPerMinute', 1]]);
  }

  /** A client has sent a frame of so many bytes. Returns why it is too much; else it counts. */
  received(identity: Identity, bytes: number): RateExcess | undefined {
    const rates = this.#ratesOf(identity);
    return rates && this.#take(identity, rates, frameCosts(bytes));
  }

  /**
   * A frame counts that is too much and cannot be refused: what follows waits the longer, but not without an end, because one client would lock
   * out all others of the tenant. `of`: one that is of no use to anybody is its user's alone.
   */
  overdrawn(identity: Identity, bytes: number, of: 'All' | 'User' = 'All'): void {
    const rates = this.#ratesOf(identity);
    if (rates === undefined) return;
    const now = this.#options.clock.monotonic();
    const all = this.#chargesOf(identity, rates, frameCosts(bytes), now);
    for (const { whose, buckets, kind, rate, cost } of all) {
      if (whose === 'user' || of === 'All') buckets.set(kind, overdrawn(buckets.get(kind), rate, now, cost));
    }
  }

  /** A tenant has changed: without rates nothing is kept of it. One of which nothing is kept is not looked at, as nearly all are when a gateway starts. */
  changed(tenant: TenantRef): void {
    const key = keyOf(tenant);
    if (this.#tenants.has(key) && this.#options.ratesOf(tenant) === undefined) this.#tenants.delete(key);
  }

  #ratesOf({ tenant }: Identity): TenantRates | undefined {
    return this.#options.ratesOf(tenant);
  }

  #take(identity: Identity, rates: TenantRates, costs: readonly Cost[]): RateExcess | undefined {
    const now = this.#options.clock.monotonic();
    const all = this.#chargesOf(identity, rates, costs, now);
    const waits = all.map((each) => ({ ...each, ms: waitMs(each.buckets.get(each.kind), each.rate, now, each.cost) }));
    const longest = waits.toSorted((a, b) => b.ms - a.ms)[0];
    if (longest !== undefined && longest.ms > 0) return excessOf(identity.tenant, longest);
    for (const { buckets, kind, rate, cost } of all) buckets.set(kind, taken(buckets.get(kind), rate, now, cost));
    return undefined;
  }

  /** What it costs of which buckets. */
  #chargesOf({ tenant, user = '' }: Identity, rates: TenantRates, costs: readonly Cost[], now: number): Charge[] {
    const found = this.#bucketsOf(keyOf(tenant), user, rates, now);
    return costs.flatMap(([kind, cost]) =>
      (['tenant', 'user'] as const).flatMap((whose) => {
        const limit = rates[whose]?.[kind];
        if (limit === undefined) return [];
        return [{ kind, cost, whose, limit, buckets: found[whose], rate: rateOf(kind, limit) }];
      }),
    );
  }

  #bucketsOf(key: string, user: string, rates: TenantRates, now: number): { tenant: Buckets; user: Buckets } {
    const known = this.#tenants.get(key) ?? { tenant: new Map(), users: new Map<string, Buckets>(), pruneAt: PRUNE_AT };
    this.#tenants.set(key, known);
    const found = known.users.get(user);
    if (found !== undefined || rates.user === undefined) return { tenant: known.tenant, user: found ?? new Map() };
    if (known.users.size >= known.pruneAt) {
      prune(known.users, rates.user, now);
      // Not for each that comes while many are there.
      known.pruneAt = Math.max(PRUNE_AT, known.users.size * 2);
    }
    const made: Buckets = new Map();
    known.users.set(user, made);
    return { tenant: known.tenant, user: made };
  }
}

type Cost = readonly [RateKind, number];

/** So many tokens of one bucket. */
interface Charge {
  readonly kind: RateKind;
  readonly cost: number;
  readonly whose: 'tenant' | 'user';
  readonly limit: number;
  readonly buckets: Buckets;
  readonly rate: BucketRate;
}

function frameCosts(bytes: number): readonly Cost[] {
  return [
    ['framesPerSecond', 1],
    ['bytesPerSecond', bytes],
  ];
}

function rateOf(kind: RateKind, limit: number): BucketRate {
  if (kind === 'connectionsPerMinute') return { perSecond: limit / MINUTE_SECONDS, burst: limit };
  return { perSecond: limit, burst: limit * BURST_SECONDS };
}

/** Forgets users whose buckets are full: they would be made anew as they are. */
function prune(users: Map<string, Buckets>, rates: RateLimit, now: number): void {
  for (const [user, buckets] of users) {
    const isFull = [...buckets].every(([kind, bucket]) => {
      const limit = rates[kind];
      return limit === undefined || tokensIn(bucket, rateOf(kind, limit), now) >= rateOf(kind, limit).burst;
    });
    if (isFull) users.delete(user);
  }
}

function excessOf(
  tenant: TenantRef,
  { kind, whose, limit, ms }: { kind: RateKind; whose: 'tenant' | 'user'; limit: number; ms: number },
): RateExcess {
  const { what, ...rules } = RULES[kind];
  const field = `spec.rates.${whose}.${kind}`;
  const who = whose === 'tenant' ? `tenant ${keyOf(tenant)}` : `the user of tenant ${keyOf(tenant)}`;
  const message = `${who} exceeds the ${limit} ${what} that ${field} allows; try again after ${ms} ms`;
  return { reason: rules[whose], message, field, limit, retryAfterMs: ms };
}
