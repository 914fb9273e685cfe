/** Logs refused calls, of each rule the first of a minute: any client of the tenant can have as many refused as it likes. */
import type { Logger } from 'pino';
import type { Clock } from '../kube/clock/clock.ts';
import type { GuardRule } from '../resources/guard-protocol.ts';

/** ms from one line of a rule to the next. */
const EVERY_MS = 60_000;
/** Characters of what clients choose. */
const LONGEST = { method: 128, message: 512 } as const;

interface Logged {
  /** Monotonic ms. */
  readonly at: number;
  /** Refused since, without a line. */
  more: number;
}

export class RefusalLog {
  readonly #log: Pick<Logger, 'info'>;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #last = new Map<GuardRule, Logged>();

  constructor(log: Pick<Logger, 'info'>, clock: Pick<Clock, 'monotonic'>) {
    this.#log = log;
    this.#clock = clock;
  }

  refused(method: string, { rule, message }: { readonly rule: GuardRule; readonly message: string }): void {
    const at = this.#clock.monotonic();
    const last = this.#last.get(rule);
    if (last !== undefined && at - last.at < EVERY_MS) return void (last.more += 1);
    this.#last.set(rule, { at, more: 0 });
    const more = last === undefined || last.more === 0 ? undefined : last.more;
    this.#log.info(
      { method: method.slice(0, LONGEST.method), rule, notLogged: more },
      `refused a call: ${message.slice(0, LONGEST.message)}`,
    );
  }
}
