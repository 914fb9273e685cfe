/** Sends the prompts of one client, each in its turn. */
import { UnreachableError, formatAnswer } from '../../../copilot/index.ts';
import type { ClientLink } from '../../model.ts';
import type { Forwarding } from './forwarding.ts';
import { sessionIdOf } from '../model.ts';
import type { ClientRequest, RequestingClient } from './open-requests.ts';
import type { OpenPrompt } from '../turns/prompts.ts';
import { sessionInUse, tenantPaused } from '../refusals.ts';
import type { Replies } from './replies.ts';
import { isResult, lost } from '../server/server-answer.ts';
import type { Session } from '../session/session.ts';
import type { TenantHomes } from '../tenant/tenant-homes.ts';
import type { SendRefusal } from '../turns/turn.ts';
import { promptQueued, type EventMaker } from '../turns/turn-end.ts';
import { decideTurnUse } from '../turns/turn-use.ts';

export interface ClientPromptsOptions extends EventMaker {
  readonly homes: Pick<TenantHomes, 'homeOf'>;
  readonly link: Pick<ClientLink, 'identity'>;
  /** The tenant takes no prompts now. */
  readonly isPaused: () => boolean;
}

/** Of one client. */
export class ClientPrompts {
  readonly #client: RequestingClient;
  readonly #replies: Replies;
  readonly #forwarding: Forwarding;
  readonly #options: ClientPromptsOptions;

  constructor(client: RequestingClient, replies: Replies, forwarding: Forwarding, options: ClientPromptsOptions) {
    this.#client = client;
    this.#replies = replies;
    this.#forwarding = forwarding;
    this.#options = options;
  }

  send(request: ClientRequest): void {
    const { params, id, bytes } = request;
    const { homes, link, isPaused } = this.#options;
    const client = this.#client;
    const replies = this.#replies;
    if (isPaused()) return replies.refuse(id, 'TenantPaused', tenantPaused(id, link.identity.tenant));
    const home = homes.homeOf(sessionIdOf(params));
    const session = home.session(sessionIdOf(params));
    // Who is not attached hears nothing of turns.
    if (session?.isAttached(client) !== true) return this.#forwarding.forward(request);
    if (!session.hasRoomFor(params)) return replies.reply(id, replies.answers.tooManyPrompts(id));
    const { turn, turnRule: rule } = session;
    const { holder } = turn;
    const use = decideTurnUse({ rule, user: client.user, isTaken: turn.isTaken, holder: holder?.client.user });
    if (use.verdict === 'Refuse' && holder?.client.user !== undefined) {
      session.watchTurn();
      return replies.refuse(id, 'SessionInUse', sessionInUse(id, holder.client.user, holder.since));
    }
    // What is immediate goes into the turn that runs, or is about to, unless that is another user's. Without one it begins one like any other.
    const call = { ...request, sender: { client, id } };
    if (params['mode'] === 'immediate' && turn.isTaken && use.verdict === 'Send')
      return home.prompt(call, session, (answer) => replies.passInOrder(session, id, answer));
    const send = () => {
      const { generation } = session.turn;
      home.prompt(call, session, (answer) => {
        // The turns of its time may have been given up, and a newer prompt of this client not be answered yet.
        if (session.turn.generation === generation) session.turn.answered(client, !isResult(answer));
        session.watchTurn();
        // Its clients may have left while it waited.
        session.watchUse();
        replies.passInOrder(session, id, answer);
      });
      this.#forwarding.feelBackPressure(home);
    };
    const tell = use.verdict === 'Queue' ? this.#teller(session) : undefined;
    session.turn.request(client, bytes, send, (why) => this.#refused(id, why), tell);
    session.watchTurn();
  }

  /** Takes back what waits of the client for the turn of another user, which is not aborted. Returns false if there is nothing. */
  cancel({ id, params }: ClientRequest): boolean {
    const sessionId = sessionIdOf(params);
    const session = this.#options.homes.homeOf(sessionId).session(sessionId);
    if (session?.turnRule === undefined || !session.turn.cancel(this.#client)) return false;
    this.#replies.reply(id, formatAnswer(id, { success: true }));
    return true;
  }

  #refused(id: ClientRequest['id'], why: SendRefusal): void {
    const replies = this.#replies;
    switch (why) {
      case 'Lost':
        return replies.pass(id, lost(new UnreachableError('the turn is cut that the prompt waited for'), false));
      case 'TooMany':
        return replies.reply(id, replies.answers.tooManyPrompts(id));
      case 'Aborted':
      case 'Left':
      case 'SessionDeleted':
        return replies.pass(id, { kind: 'Withdrawn', why, sent: false });
    }
  }

  #teller(session: Session): (place: number, count: number) => void {
    return (place, count) => {
      const holder = session.turn.holder?.client.user;
      const { type, body } = promptQueued(session.id, { place, count, holder }, this.#options);
      this.#client.deliver(body, type);
    };
  }

  /** A prompt that the home before had, and no server has got. */
  sendAgain({ callId: id, method, params }: OpenPrompt): void {
    if (id === undefined) return;
    if (params === undefined) return this.#replies.reply(id, this.#replies.answers.unavailable(id, true));
    const bytes = JSON.stringify(params).length;
    const request = { id, method, params, bytes, isRepeatable: undefined, gone: this.#client.gone };
    this.#replies.open.add(request);
    this.send(request);
  }
}
