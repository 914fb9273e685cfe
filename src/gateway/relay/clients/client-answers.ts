/** What a client gets as answers to its requests: those of servers, and what the relay says in place of them, which is counted. */
import { answerFor, type RequestId } from '../../../copilot/index.ts';
import { keyOf } from '../../../kube/types/types.ts';
import type { TenantRef } from '../../model.ts';
import type { RelayLimits, ServerAnswer } from '../model.ts';
import type { CallRefusal, RelayObserver } from '../observer.ts';
import {
  away,
  coordinationAway,
  fenced,
  modelUnavailable,
  notRestored,
  promptWithdrawn,
  sessionsFull,
  tooMany,
  turnsFull,
  unavailable,
  userFull,
} from '../refusals.ts';

export interface ClientAnswersOptions {
  readonly tenant: TenantRef;
  readonly limits: Pick<RelayLimits, 'redialAfterMs'>;
  readonly observer: Pick<RelayObserver, 'callRefused'>;
}

/** Bodies of frames, of one client. */
export class ClientAnswers {
  readonly #options: ClientAnswersOptions;

  constructor(options: ClientAnswersOptions) {
    this.#options = options;
  }

  of(id: RequestId, answer: ServerAnswer): Buffer | string {
    switch (answer.kind) {
      case 'Answer':
        return answerFor(id, answer.body, answer.head);
      case 'Withdrawn':
        return promptWithdrawn(id, answer.why, answer.sent);
      case 'NotRestored':
        return this.refused('NotRestored', notRestored(id, answer.why));
      case 'NoModel':
        return this.refused('ModelUnavailable', modelUnavailable(id, answer.why));
      case 'UserFull':
        return this.refused('UserFull', userFull(id, answer.max));
      case 'NoPlace':
        return this.refused('SessionsFull', sessionsFull(id, answer.max));
      case 'TurnsFull':
        return this.refused('TurnsFull', turnsFull(id, answer.max));
      case 'Away':
        return this.away('Unavailable', id, answer.why);
      case 'Fenced':
        return this.refused('Fenced', fenced(id, answer.why));
      case 'CoordinationAway':
        return this.refused('CoordinationAway', coordinationAway(id, answer.why));
      case 'TooMany':
        return this.refused('TooManySessions', tooMany(id, answer.why));
      case 'Lost':
        break;
    }
    return this.unavailable(id, answer.sent);
  }

  away(reason: CallRefusal, id: RequestId, why: string): string {
    return this.refused(reason, away(id, why, this.#options.limits.redialAfterMs));
  }

  /** `sent`: whether a server may have got the request. */
  unavailable(id: RequestId, sent: boolean): string {
    const { tenant, limits } = this.#options;
    return this.refused('Unavailable', unavailable(id, keyOf(tenant), sent, limits.redialAfterMs));
  }

  tooManyPrompts(id: RequestId): string {
    return this.refused('TooManyPrompts', tooMany(id, 'too many prompts wait for a turn'));
  }

  /** The answer, counted. */
  refused(reason: CallRefusal, answer: string): string {
    this.#options.observer.callRefused(reason);
    return answer;
  }
}
