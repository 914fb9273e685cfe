/**
 * The order of the calls of each client about one session. They wait for several things, one after the other and at several servers, so the later
 * one may be free first: before it goes on it waits for those before it.
 */

/** How far a call is: `Waiting`, with its prompt kept for a server that is lost, or with the server. */
export type CallStage = 'Waiting' | 'Kept' | 'Sent';

const STAGES: readonly CallStage[] = ['Waiting', 'Kept', 'Sent'];

/** The place of one call. */
export interface CallPlace {
  /** Takes it to this stage, and calls `go`, as soon as no call before it has yet to come there: maybe at once. */
  reach(stage: CallStage, go: () => void): void;
  /** It was sent in vain, and waits again where it was, unless it has left. */
  again(): void;
  /** It holds nobody up any more, and waits for nobody: it was answered, or others wait for it. */
  leave(): void;
}

interface Place {
  readonly client: object;
  readonly startsTurn: boolean;
  stage: CallStage;
  next: { readonly stage: CallStage; readonly go: () => void } | undefined;
}

/** Of one session. */
export class CallOrder {
  /** Those that were not sent, by their number. */
  readonly #places = new Map<number, Place>();
  #last = 0;

  /** A call of the client. Prompts may wait for turns to end, and other calls need not wait for them: one may be to end the turn. */
  enter(client: object, startsTurn: boolean): CallPlace {
    const number = (this.#last += 1);
    const place: Place = { client, startsTurn, stage: 'Waiting', next: undefined };
    this.#places.set(number, place);
    let hasLeft = false;
    return {
      reach: (stage, go) => {
        if (!this.#places.has(number)) return go();
        place.next = { stage, go };
        // Of most calls there is no other.
        if (this.#places.size === 1) this.#take(number, place);
        else this.#goOn();
      },
      again: () => {
        if (hasLeft) return;
        place.stage = 'Kept';
        this.#places.set(number, place);
      },
      leave: () => {
        hasLeft = true;
        place.next = undefined;
        if (this.#places.delete(number)) this.#goOn();
      },
    };
  }

  #goOn(): void {
    for (let free = this.#firstFree(); free !== undefined; free = this.#firstFree()) this.#take(...free);
  }

  #take(number: number, place: Place): void {
    const { next } = place;
    if (next === undefined) return;
    place.next = undefined;
    place.stage = next.stage;
    if (next.stage === 'Sent') this.#places.delete(number);
    next.go();
  }

  /** The first one that waits here, and for no other. */
  #firstFree(): readonly [number, Place] | undefined {
    const waiting = [...this.#places].filter(([, { next }]) => next !== undefined).toSorted(([a], [b]) => a - b);
    return waiting.find(([number, place]) => !this.#isBehind(number, place));
  }

  #isBehind(number: number, { client, startsTurn, next }: Place): boolean {
    const stage = STAGES.indexOf(next?.stage ?? 'Sent');
    return [...this.#places].some(
      ([other, before]) =>
        other < number &&
        before.client === client &&
        (startsTurn || !before.startsTurn) &&
        STAGES.indexOf(before.stage) < stage,
    );
  }
}
