/** What a client was in the middle of at its last home, from the end of that one until the next one has it. */
import type { RequestId } from '../../copilot/index.ts';
import type { ClientState, DeclaredSession } from '../relay/setup/client-state.ts';

const NOTHING: ClientState = { sessions: [], openCalls: [], repeatable: [] };

export interface BetweenHomesOptions {
  /** Calls `fn` when it has taken too long. */
  readonly setTimer: (fn: () => void) => { cancel(): void };
  /** It has: nothing of this goes on, but its sessions are restored when there is a home. */
  readonly onOver: (state: ClientState) => void;
}

/** Of one client. */
export class BetweenHomes {
  readonly #options: BetweenHomesOptions;
  #state = NOTHING;
  #why = '';
  #timer: { cancel(): void } | undefined;

  constructor(options: BetweenHomesOptions) {
    this.#options = options;
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Whether something of it goes on at the next home. */
  get isBusy(): boolean {
    const { sessions, repeatable } = this.#state;
    return repeatable.length > 0 || sessions.some(({ isRunning, course }) => isRunning || course.prompts.length > 0);
  }

  /** Why there is no home, as the beginning of a sentence for clients. */
  get why(): string {
    return this.#why;
  }

  /** The home is none any more that had all of this. */
  begin(state: ClientState, why: string): void {
    this.#state = { ...state, openCalls: [] };
    this.#why = why;
    this.#timer?.cancel();
    this.#timer = this.#options.setTimer(() => this.#over());
  }

  /** The session is none of it any more. Returns the calls that nobody answers now. */
  cut({ sessionId, course }: DeclaredSession): RequestId[] {
    this.#state = { ...this.#state, sessions: this.#state.sessions.filter((each) => each.sessionId !== sessionId) };
    return course.prompts.flatMap(({ callId }) => (callId === undefined ? [] : [callId]));
  }

  /** A home has all of it, or the client is gone. Returns what it was. */
  end(): ClientState {
    const state = this.#state;
    this.#state = NOTHING;
    this.#timer?.cancel();
    this.#timer = undefined;
    return state;
  }

  /** There will be no home any more. */
  abandon(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#over();
  }

  #over(): void {
    const state = this.#state;
    this.#options.onOver(state);
    const course = { trail: [], prompts: [], offered: [] };
    const sessions = state.sessions.map((each) => ({ ...each, course, isRunning: false }));
    this.#state = { ...NOTHING, sessions };
  }
}
