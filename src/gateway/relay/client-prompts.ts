/** Sends the prompts of one client, each in its turn. */
import { UnreachableError } from '../../copilot/index.ts';
import type { ClientLink } from '../model.ts';
import type { Forwarding } from './forwarding.ts';
import { sessionIdOf } from './model.ts';
import type { ClientRequest, RequestingClient } from './open-requests.ts';
import type { OpenPrompt } from './prompts.ts';
import { tenantPaused } from './refusals.ts';
import type { Replies } from './replies.ts';
import { isResult, lost } from './server-answer.ts';
import type { TenantHomes } from './tenant-homes.ts';
import type { SendRefusal } from './turn.ts';

export interface ClientPromptsOptions {
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
    // What is immediate goes into the turn that runs, or is about to; without one it begins one like any other.
    const call = { ...request, sender: { client, id } };
    if (params['mode'] === 'immediate' && session.turn.isTaken)
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
    const refuse = (why: SendRefusal) =>
      why === 'Lost'
        ? replies.pass(id, lost(new UnreachableError('the turn is cut that the prompt waited for'), false))
        : replies.reply(id, replies.answers.tooManyPrompts(id));
    session.turn.request(client, bytes, send, refuse);
    session.watchTurn();
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
