/** Does what a call of one client asks for, once it is known that it may and which server has its session. */
import { UnreachableError, formatAnswer, formatError, isObject } from '../../../copilot/index.ts';
import type { MethodMerge, MethodRewrite, MethodRule } from '../../model.ts';
import { pong } from '../../pong.ts';
import type { Attachments } from './attachments.ts';
import type { ClientPrompts } from './client-prompts.ts';
import { answerOfAll } from './everywhere.ts';
import type { Forwarding } from './forwarding.ts';
import type { Home } from '../home/home.ts';
import { withGitHubToken, withoutLogin } from '../injection/injected.ts';
import { sessionIdOf, type SessionClient } from '../model.ts';
import type { ClientRequest } from './open-requests.ts';
import { unhandled } from '../refusals.ts';
import type { Replies } from './replies.ts';
import {
  asError,
  isResult,
  isUnloaded,
  loadFailure,
  lost,
  modelFailure,
  resultFields,
} from '../server/server-answer.ts';
import type { TenantHomes } from '../tenant/tenant-homes.ts';

export interface ClientCallsOptions {
  readonly homes: TenantHomes;
  readonly clock: { now(): number };
}

/** Who does the parts of it. */
export interface ClientCallsPath {
  readonly replies: Replies;
  readonly forwarding: Forwarding;
  readonly prompts: ClientPrompts;
  readonly attachments: Attachments;
}

/** Of one client. */
export class ClientCalls {
  readonly #client: SessionClient;
  readonly #path: ClientCallsPath;
  readonly #options: ClientCallsOptions;

  constructor(client: SessionClient, path: ClientCallsPath, options: ClientCallsOptions) {
    this.#client = client;
    this.#path = path;
    this.#options = options;
  }

  make(rule: MethodRule, request: ClientRequest): void {
    const { id, method, params } = request;
    const { replies, forwarding } = this.#path;
    const { homes, clock } = this.#options;
    if (rule.merge !== undefined && homes.current.length > 1 && !homes.isShared)
      void this.#everywhere(rule.merge, request);
    else if (rule.action === 'relay') forwarding.forward(request);
    else if (rule.action === 'rewrite' && rule.rewrite !== undefined) this.#rewrite(rule.rewrite, request);
    else if (rule.action === 'answer' && rule.answer === 'ping') replies.reply(id, pong(id, params, clock.now()));
    else replies.reply(id, unhandled(id, method));
  }

  #rewrite(rewrite: MethodRewrite, request: ClientRequest): void {
    const { forwarding, prompts, attachments } = this.#path;
    switch (rewrite) {
      case 'attach':
        return attachments.attach(request);
      case 'detach':
        return attachments.detach(request);
      case 'send':
        return prompts.send(request);
      case 'abort':
        return prompts.cancel(request) ? undefined : forwarding.forward(request);
      case 'delete':
        return this.#delete(request);
      case 'keep':
        return this.#keep(request);
      case 'own':
        return forwarding.forward(request);
      case 'login':
        return this.#login(request);
    }
  }

  async #everywhere(merge: MethodMerge, { id, method, params }: ClientRequest): Promise<void> {
    const { replies } = this.#path;
    const answer = await answerOfAll(this.#options.homes, merge, { method, params });
    if (this.#client.isEnded) return replies.settle(id);
    if ('failure' in answer) return replies.pass(id, answer.failure);
    if ('error' in answer) return replies.reply(id, formatError(id, answer.error.code, answer.error.serverMessage));
    this.#deleted(answer.result);
    replies.reply(id, formatAnswer(id, answer.result));
  }

  #delete({ id, method, params }: ClientRequest): void {
    const { homes } = this.#options;
    const sessionId = sessionIdOf(params);
    const home = homes.homeOf(sessionId);
    // It need not be loaded for that.
    const go = (host: Home, losses = host.upstream.losses) =>
      host.request({ method, params }, undefined, (answer) => {
        const result = isResult(answer) ? resultFields(answer.body) : undefined;
        // Anybody may name any id: without that, guard and volume would have it as open for ever.
        const isLeftOpen = result?.['success'] === false && sessionId !== undefined && !host.session(sessionId);
        if (isLeftOpen) void fence?.release(sessionId, host);
        if (result && !this.#deleted(result)) homes.forget(sessionId ?? '');
        // The connection that was granted the session is gone: the next one could not delete it, whether it exists or not.
        const isLate = isUnloaded(answer) && host.upstream.losses !== losses;
        const late = () => lost(new UnreachableError(`${host.key}: the connection was lost`), false);
        this.#path.replies.pass(id, isLate ? late() : answer);
      });
    const session = home.session(sessionId);
    const { fence } = home;
    if (fence === undefined || sessionId === undefined || session?.isLoaded === true) return go(home);
    // Another server may have it loaded, and would write what is deleted here.
    const admit = async (): Promise<readonly [host: Home, losses: number]> => {
      const host = session === undefined ? home : home.hostOf(session);
      const { losses } = host.upstream;
      // Whoever was before in its turn may have loaded it: that grant is good for the deletion, too. And one of a load takes none away from
      // whoever loads it beside the deletion.
      if (session?.isLoaded !== true) await fence.admit(sessionId, host);
      return [host, losses];
    };
    const admitted = session === undefined ? admit() : session.exclusively(admit);
    admitted.then(
      (granted) => go(...granted),
      (error: unknown) => this.#path.replies.pass(id, loadFailure(error) ?? lost(asError(error), false)),
    );
  }

  /** Of many sessions, those that the answer names were deleted. */
  #deleted(result: unknown): boolean {
    const freed = isObject(result) ? result['freedBytes'] : undefined;
    if (!isObject(freed)) return false;
    for (const each of Object.keys(freed)) this.#options.homes.forget(each);
    return true;
  }

  /** What changes a session: it is done again when the session is loaded again. */
  #keep(request: ClientRequest): void {
    const home = this.#options.homes.homeOf(sessionIdOf(request.params));
    const { method } = request;
    const params = home.injection.isOn ? withoutLogin(request.params) : request.params;
    const session = home.session(sessionIdOf(params));
    this.#path.forwarding.forward({ ...request, params }, (answer) => {
      if (!isResult(answer) || session === undefined) return;
      const result = resultFields(answer.body);
      session.replay.keep(method, params, result);
      session.changes += 1;
      for (const client of session.clients) client.told?.(session.told([{ method, params, result }]));
    });
  }

  /** What asks GitHub for the tenant, such as for its models. */
  #login(request: ClientRequest): void {
    const { replies, forwarding } = this.#path;
    const { injection } = this.#options.homes.homeOf(undefined);
    if (!injection.isOn) return forwarding.forward(request);
    void injection.read().then(
      (model) => {
        if (this.#client.isEnded) return replies.settle(request.id);
        // Its home may be another one by now.
        forwarding.forward(model ? { ...request, params: withGitHubToken(request.params, model) } : request);
      },
      (error: unknown) => replies.pass(request.id, modelFailure(error)),
    );
  }
}
