/**
 * What a client that is forwarded has declared, and what it waits for, as its holder sees it pass by: with it the client goes on at another
 * home.
 */
import { isObject, parseMessage, scanAnswerId, scanEvent, type RequestId } from '../../copilot/index.ts';
import type { ClientWork, MethodRewrite, MethodRules, ToldRules } from '../model.ts';
import type { ClientState, DeclaredSession } from '../relay/setup/client-state.ts';
import { sessionIdOf, type Declaration } from '../relay/model.ts';
import type { Prompt } from '../relay/turns/prompts.ts';
import { SeenSession } from './seen-session.ts';

/** A request of the client. */
export interface ClientCall {
  readonly id: RequestId;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

interface OpenCall extends ClientCall {
  readonly rewrite: MethodRewrite | undefined;
  /** Whether it comes to the same if it is made again. */
  readonly isRepeatable: boolean;
  /** What it starts. */
  readonly prompt: Prompt | undefined;
}

/** Whose answers say something of what the client has declared. */
const DECLARING = new Set<MethodRewrite>(['attach', 'detach', 'send', 'delete', 'keep']);
const DELETED = 'session.deleted';

/** Of one client. Frames of clients are parsed by their holder; those of the home are looked into only where something is waited for. */
export class Declared {
  readonly #rules: Pick<MethodRules, 'ruleOf'>;
  /** Undefined: its answer says nothing. */
  readonly #open = new Map<RequestId, OpenCall | undefined>();
  readonly #sessions = new Map<string, SeenSession>();
  readonly #now: () => number;

  /** `before`: what it has declared at an earlier home. `now`: monotonic ms. */
  constructor(rules: Pick<MethodRules, 'ruleOf'>, before: readonly DeclaredSession[], now: () => number) {
    this.#rules = rules;
    this.#now = now;
    for (const each of before) {
      const { session, open } = SeenSession.of(each, now);
      this.#sessions.set(each.sessionId, session);
      for (const prompt of open) this.#opened(each.sessionId, prompt);
    }
  }

  /** Whether the client waits for an answer to this id. */
  waitsFor(id: RequestId): boolean {
    return this.#open.has(id);
  }

  /** The client has sent a request. */
  called(call: ClientCall): void {
    const { id, method, params } = call;
    const { rewrite, isRepeatable = false } = this.#rules.ruleOf(method);
    const session = this.#sessions.get(sessionIdOf(params) ?? '');
    const prompt = rewrite === 'send' ? session?.sent(id, method, params) : undefined;
    // What became of an attach the next home finds out by the id that the client has chosen.
    const isFound = rewrite === 'attach' && (sessionIdOf(params) ?? '') !== '';
    const isKept = isRepeatable || (rewrite !== undefined && DECLARING.has(rewrite));
    this.#open.set(id, isKept ? { ...call, rewrite, isRepeatable: isRepeatable || isFound, prompt } : undefined);
  }

  /** The home has sent a frame to the client. */
  received(body: Buffer): void {
    const event = scanEvent(body);
    if (event !== undefined) return this.#sessions.get(event.sessionId)?.event(event, body);
    const id = scanAnswerId(body);
    if (id !== undefined) this.#answered(id, body);
    else if (body.includes(DELETED)) this.#lifecycle(body);
  }

  /** What the client was in the middle of in the session does not go on, and it is told so. */
  cut(sessionId: string): void {
    this.#sessions.get(sessionId)?.cut();
    for (const [id, call] of this.#open) {
      if (call?.prompt !== undefined && sessionIdOf(call.params) === sessionId) this.#open.delete(id);
    }
  }

  /** The session cannot be had again. */
  forget(sessionId: string): void {
    this.#sessions.delete(sessionId);
  }

  /** A session was told calls, by any client. */
  told(rules: ToldRules): void {
    this.#sessions.get(rules.sessionId)?.told(rules);
  }

  get state(): ClientState {
    const sessions = Array.from(this.#sessions.values(), ({ state }) => state);
    const going = new Set(sessions.flatMap(({ course }) => course.prompts.map(({ callId }) => callId)));
    const open = [...this.#open].filter(([id]) => !going.has(id));
    return {
      sessions,
      openCalls: open.flatMap(([id, call]) => (call?.isRepeatable === true ? [] : [id])),
      repeatable: open.flatMap(([, call]) => (call?.isRepeatable === true ? [call] : [])),
    };
  }

  get work(): ClientWork {
    return { calls: this.#open.size, sessions: this.#sessions.size };
  }

  get isBusy(): boolean {
    return this.#open.size > 0 || [...this.#sessions.values()].some(({ isTaken }) => isTaken);
  }

  #opened(sessionId: string, prompt: Prompt): void {
    const { sender, method, params = { sessionId } } = prompt;
    if (sender?.id === undefined) return;
    this.#open.set(sender.id, { id: sender.id, method, params, rewrite: 'send', isRepeatable: false, prompt });
  }

  #answered(id: RequestId, body: Buffer): void {
    const call = this.#open.get(id);
    this.#open.delete(id);
    if (call === undefined) return;
    const message = parseMessage(body);
    const result = message.kind === 'answer' && isObject(message.result) ? message.result : undefined;
    if (call.prompt !== undefined) this.#sessions.get(sessionIdOf(call.params) ?? '')?.answered(call.prompt, result);
    else if (message.kind === 'answer') this.#done(call, result ?? {});
  }

  #done({ method, rewrite, params }: OpenCall, result: Readonly<Record<string, unknown>>): void {
    const sessionId = sessionIdOf(params) || sessionIdOf(result);
    if (sessionId === undefined) {
      // Of many, those that the answer names were deleted.
      const { freedBytes } = result;
      if (rewrite === 'delete' && isObject(freedBytes)) Object.keys(freedBytes).forEach((id) => this.forget(id));
      return;
    }
    if (rewrite === 'attach') return this.#attached(sessionId, method, params);
    if (rewrite === 'delete' || rewrite === 'detach') return this.forget(sessionId);
    if (rewrite === 'keep') this.#sessions.get(sessionId)?.replay.keep(method, params, result);
  }

  #attached(sessionId: string, method: string, declaration: Declaration): void {
    const hadTurn = method === 'session.resume';
    const known = this.#sessions.get(sessionId);
    if (known === undefined) {
      this.#sessions.set(sessionId, new SeenSession(sessionId, declaration, hadTurn, this.#now));
    } else known.attached(declaration, hadTurn);
  }

  /** All clients of a tenant may hear that somebody has deleted a session. */
  #lifecycle(body: Buffer): void {
    const message = parseMessage(body);
    if (message.kind !== 'notification' || message.method !== 'session.lifecycle' || !isObject(message.params)) return;
    const { type } = message.params;
    const sessionId = sessionIdOf(message.params);
    if (type === DELETED && sessionId !== undefined) this.forget(sessionId);
  }
}
