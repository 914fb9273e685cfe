/** Decides whom a question for a person is asked first: the user whose turn it is of, as long as one of its clients is there to answer (docs/adr/0059-several-users.md). */

/** Of whom only the user counts. */
export interface Askable {
  readonly user?: string | undefined;
}

/** Who is asked now, and why. */
export interface FirstAsked {
  /** The user that is asked alone; undefined: everybody is. */
  readonly user: string | undefined;
  readonly reason: 'NobodysTurn' | 'UserIsThere' | 'UserCannotAnswer';
  readonly message: string;
}

/** `able`: the clients that have said that they answer. `user`: whose turn asks; undefined: nobody's in particular. */
export function decideFirst(able: Iterable<Askable>, user: string | undefined): FirstAsked {
  if (user === undefined) {
    return { user, reason: 'NobodysTurn', message: 'No turn of a known user asks, so everybody is asked.' };
  }
  for (const client of able) {
    if (client.user !== user) continue;
    return { user, reason: 'UserIsThere', message: 'The user whose turn asks is there, and is asked first.' };
  }
  return {
    user: undefined,
    reason: 'UserCannotAnswer',
    message: 'No client of the user whose turn asks answers such questions, so everybody is asked.',
  };
}

/** Whether one user has a question alone, and until when. */
export class Alone {
  #user: string | undefined;
  #deadline: { cancel(): void } | undefined;

  get isOn(): boolean {
    return this.#user !== undefined;
  }

  /** If the user of the turn is among those who can answer, it has the question alone until the deadline, which is set now. */
  begin(able: Iterable<Askable>, turnUser: string | undefined, setDeadline: () => { cancel(): void }): void {
    this.end();
    this.#user = decideFirst(able, turnUser).user;
    if (this.isOn) this.#deadline = setDeadline();
  }

  /** Whether the client is one of those who have it. */
  isFor({ user }: Askable): boolean {
    return !this.isOn || this.#user === user;
  }

  /** Whether that user can answer it still. */
  isThere(able: Iterable<Askable>): boolean {
    return this.isOn && decideFirst(able, this.#user).reason === 'UserIsThere';
  }

  end(): void {
    this.#user = undefined;
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }
}
