/** One thing that a session waits for of its clients since an event, and who can answer it. */
import type { RequestId } from '../../../copilot/index.ts';
import { declares } from '../setup/declarations.ts';
import { OBSERVES, type WaitKind } from '../journal/events.ts';
import type { Alone } from './first-asked.ts';
import type { Declaration, QuestionOptions, SessionClient } from '../model.ts';
import type { RelayObserver } from '../observer.ts';

/** One thing. */
export interface Wait {
  readonly kind: WaitKind;
  /** The event, as the server sent it. */
  readonly body: Buffer;
  readonly type: string;
  /** What a client must have declared, for `One`. */
  readonly name: string;
  /** Who has it, for `One`. */
  offeredTo: SessionClient | undefined;
  /** Ends it, because nobody can answer. */
  deadline: { cancel(): void } | undefined;
  /** Who has it for a while, for `All`. */
  readonly alone: Alone;
  /** Whether a client that comes in a moment may have it already, for `One`. */
  isReserved: boolean;
  /** Whether the server is being given an answer, or has taken one and not said so by its event. */
  isGiven: boolean;
  /** What the event and the request have in common by which the server asks the same once more. */
  readonly subject: unknown;
  /** That request. */
  twin: RequestId | undefined;
  /** Whether its turn is being aborted. */
  isAborted: boolean;
}

/** The open requests of the server. */
export interface Twins {
  /** It was answered by its event. */
  close(id: RequestId): void;
  /** Answers it in place of clients, unless one was asked, or it is answered already. */
  deny(id: RequestId): void;
}

export interface WaitsOptions extends QuestionOptions {
  /** Whether a client has said that events of this type are answered. */
  readonly hasInterest: (type: string) => boolean;
  /** Answers in place of the clients. */
  readonly deny: (requestId: string, kind: WaitKind) => void;
  /** The requests by which the server asks the same once more. */
  readonly twins: Twins;
  readonly observer: Pick<RelayObserver, 'unattended'>;
}

/** Those who have said that they answer such, for `All`. `isWanted`: a client has said so of the type. */
export function ableOf(
  { kind: { flag } }: Wait,
  attached: Iterable<readonly [SessionClient, Declaration]>,
  isWanted: boolean,
): readonly SessionClient[] {
  return [...attached].flatMap(([client, declaration]) => {
    const isDeclared = declaration[OBSERVES] === true || (flag !== undefined && declaration[flag] === true);
    return isWanted || isDeclared ? [client] : [];
  });
}

/** Whether a client with this declaration answers it, for `One`. */
export function canAnswer({ kind: { list }, name }: Wait, declaration: Declaration): boolean {
  return list !== undefined && declares(declaration, list, name);
}
