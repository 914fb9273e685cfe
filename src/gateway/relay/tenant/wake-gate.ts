/** Holds the calls of clients of a tenant that sleeps until it is awake, in their order, and refuses those of one that is stopped. */
import type { Clock } from '../../../kube/clock/clock.ts';
import { keyOf } from '../../../kube/types/types.ts';
import type { GatewayTenant, TenantSleep } from '../../model.ts';
import type { RelayLimits } from '../model.ts';
import type { RelayObserver, WakeEnd } from '../observer.ts';

/** A call that waits. */
export interface WaitingCall {
  /** Of its frame. */
  readonly bytes: number;
  /** Whether it wakes the tenant; any other one only waits with those that do. */
  readonly wakes: boolean;
  /** The tenant is awake, or will never be. */
  readonly go: () => void;
  /** It cannot be answered. `why` is for the client. */
  readonly refuse: (why: string, reason: 'Asleep' | 'Unavailable') => void;
}

/** For its turn in the queue of those that are to be woken, in ms. */
const QUEUE_MS = 180_000;

/** How a tenant is waited for. */
export interface WakeGateOptions {
  /** What is known of the tenant now; undefined: it is gone. */
  readonly find: () => GatewayTenant | undefined;
  /** Whether every server of it can be used. */
  readonly areServing: () => boolean;
  /** Whether this process can ask for tenants to be woken. */
  readonly canWake: boolean;
  /** Whether who wakes tenants has taken what it was asked the last time. */
  readonly isHeard: () => boolean;
  readonly clock: Pick<Clock, 'setTimer' | 'monotonic'>;
  readonly limits: Pick<RelayLimits, 'wakeBytes' | 'wakeMs'>;
  readonly observer: Pick<RelayObserver, 'wakeEnded'>;
  /** A first call waits: the operator is to be asked. */
  readonly onWanted: () => void;
}

interface Held extends WaitingCall {
  readonly client: object;
  readonly since: number;
  /** Of the tenant's sleep when it came. */
  readonly epoch: number;
}

/** Of one tenant, in the replica that is its home. */
export class WakeGate {
  readonly #options: WakeGateOptions;
  #held: Held[] = [];
  #bytes = 0;
  #timer: { cancel(): void } | undefined;

  constructor(options: WakeGateOptions) {
    this.#options = options;
  }

  /** Whether calls pass. */
  get isOpen(): boolean {
    const tenant = this.#options.find();
    if (isStopped(tenant)) return false;
    const sleep = tenant?.sleep;
    if (sleep === undefined || sleep.phase === 'Running') return true;
    return sleep.phase === 'Waking' && this.#options.areServing();
  }

  /** Whether a client waits. */
  get isWanted(): boolean {
    return this.#held.some(({ wakes }) => wakes);
  }

  /** Calls that wait. */
  get size(): number {
    return this.#held.length;
  }

  /** Holds a call of a client, while the gate is closed. */
  hold(client: object, call: WaitingCall): void {
    const { canWake, clock, limits, onWanted } = this.#options;
    const { phase = 'Running', epoch = 0 } = this.#sleep ?? {};
    if (this.#isStopped) return call.refuse(this.#stopped, 'Unavailable');
    if (!canWake) return call.refuse(`${this.#name} sleeps, and this gateway is not set up to have it woken`, 'Asleep');
    // A list of the sessions of a tenant that sleeps is not worth to start it.
    if (!call.wakes && !this.isWanted && phase !== 'Waking') {
      return call.refuse(`${this.#name} sleeps, and this call does not wake it: a call about a session does`, 'Asleep');
    }
    // One may be as large as any frame.
    if (this.#held.length > 0 && this.#bytes + call.bytes > limits.wakeBytes) {
      return call.refuse(
        `calls of more than ${limits.wakeBytes} bytes wait for ${this.#name} to wake already`,
        'Asleep',
      );
    }
    const isFirst = !this.isWanted;
    this.#held.push({ ...call, client, since: clock.monotonic(), epoch });
    this.#bytes += call.bytes;
    this.#watch();
    if (isFirst && call.wakes) onWanted();
  }

  /** The client has left: what it wanted is forgotten. Whoever made its calls frees what is kept of them. */
  leave(client: object): void {
    for (const { refuse } of this.#take((held) => held.client === client, 'ClientGone'))
      refuse('the client is gone', 'Asleep');
  }

  /** The tenant, or where its servers are, may have changed. */
  changed(): void {
    if (this.isOpen) {
      for (const { go } of this.#take(() => true, 'Woken')) go();
      return;
    }
    if (this.#isStopped) {
      for (const { refuse } of this.#take(() => true, 'Failed')) refuse(this.#stopped, 'Unavailable');
      return;
    }
    const { failure } = this.#sleep ?? {};
    if (failure === undefined) return;
    const told = this.#take(({ epoch }) => failure.epoch > epoch, 'Failed');
    for (const { refuse } of told) refuse(`${this.#name} could not be woken: ${failure.message}`, 'Asleep');
  }

  /** Holds nothing any more. */
  close(): void {
    for (const { refuse } of this.#take(() => true, 'ClientGone'))
      refuse(`${this.#name} is served by another replica now`, 'Unavailable');
  }

  get #isStopped(): boolean {
    return isStopped(this.#options.find());
  }

  get #stopped(): string {
    return `${this.#name} is stopped by its ${this.#options.find()?.stoppedBy}, and no call starts it`;
  }

  get #sleep(): TenantSleep | undefined {
    return this.#options.find()?.sleep;
  }

  /** How long a call waits, as the tenant says now. */
  get #waitMs(): number {
    return Math.max(this.#options.limits.wakeMs, (this.#sleep?.wakeTimeoutMs ?? 0) + QUEUE_MS);
  }

  get #name(): string {
    const tenant = this.#options.find();
    return tenant === undefined ? 'the tenant' : `tenant ${keyOf(tenant)}`;
  }

  #watch(): void {
    const { clock } = this.#options;
    const [first] = this.#held;
    if (first === undefined || this.#timer !== undefined) return;
    this.#timer = clock.setTimer(Math.max(0, first.since + this.#waitMs - clock.monotonic()), () => this.#isLate());
  }

  #isLate(): void {
    const { clock } = this.#options;
    this.#timer = undefined;
    const now = clock.monotonic();
    const waitMs = this.#waitMs;
    const late = this.#take(({ since }) => now - since >= waitMs, 'TimedOut');
    // Where the operator is, and why it does not answer, is not for clients: the log has it.
    const why = this.#options.isHeard() ? '' : ': the operator, which starts its servers, does not answer';
    for (const { refuse } of late) refuse(`${this.#name} did not wake within ${waitMs / 1000} s${why}`, 'Asleep');
    this.#watch();
  }

  #take(isTaken: (held: Held) => boolean, end: WakeEnd): readonly Held[] {
    const { clock, observer } = this.#options;
    const taken = this.#held.filter(isTaken);
    if (taken.length === 0) return [];
    this.#held = this.#held.filter((held) => !isTaken(held));
    for (const { bytes, since } of taken) {
      this.#bytes -= bytes;
      observer.wakeEnded(end, (clock.monotonic() - since) / 1000);
    }
    if (this.#held.length === 0) {
      this.#timer?.cancel();
      this.#timer = undefined;
    }
    return taken;
  }
}

/** Whoever has stopped it starts it again, and not soon: nobody waits for that. While its servers end turns, calls go to them. */
function isStopped(tenant: GatewayTenant | undefined): boolean {
  return tenant?.stoppedBy !== undefined && tenant.servers.length === 0;
}
