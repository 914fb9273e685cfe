/** Answers the requests of one client, and knows those that are not answered. */
import type { RequestId } from '../../../copilot/index.ts';
import { ClientAnswers, type ClientAnswersOptions } from './client-answers.ts';
import type { ServerAnswer, SessionClient } from '../model.ts';
import type { CallRefusal } from '../observer.ts';
import { OpenRequests } from './open-requests.ts';
import { bytesOf, copied } from '../server/server-answer.ts';
import type { Session } from '../session/session.ts';
import type { TenantHomes } from '../tenant/tenant-homes.ts';

/** Of one client. After its end, requests are still settled: what is kept of them is freed. */
export class Replies {
  readonly open = new OpenRequests();
  readonly answers: ClientAnswers;
  readonly #client: SessionClient;
  readonly #homes: Pick<TenantHomes, 'settled'>;

  constructor(client: SessionClient, homes: Pick<TenantHomes, 'settled'>, options: ClientAnswersOptions) {
    this.#client = client;
    this.#homes = homes;
    this.answers = new ClientAnswers(options);
  }

  /** Answers with what a server said, or why it said nothing. */
  pass(id: RequestId, answer: ServerAnswer): void {
    if (this.#client.isEnded) this.settle(id);
    else this.reply(id, this.answers.of(id, answer));
  }

  /** The same for a call about a session: not before the events that the client has missed of it. */
  passInOrder(session: Session | undefined, id: RequestId, answer: ServerAnswer): void {
    if (session?.delivery.isBehind(this.#client) !== true) return this.pass(id, answer);
    const kept = copied(answer);
    session.delivery.answer(this.#client, bytesOf(kept), () => this.pass(id, kept));
  }

  /** Answers with a frame of the gateway's own. */
  reply(id: RequestId, body: Buffer | string): void {
    this.settle(id);
    this.#client.deliver(body);
  }

  /** The same with a refusal, which is counted. */
  refuse(id: RequestId, reason: CallRefusal, body: string): void {
    this.reply(id, this.answers.refused(reason, body));
  }

  /** The same to a request that is not one of those that are open. Its id may be that of one which is. */
  refuseUnopened(reason: CallRefusal, body: string): void {
    this.#client.deliver(this.answers.refused(reason, body));
  }

  /** A request is not open any more. */
  settle(id: RequestId): void {
    this.open.settle(id);
    if (this.#client.isEnded) this.#homes.settled(this.#client);
  }
}
