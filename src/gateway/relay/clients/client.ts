/** One admitted client: its frames, those for it, and its end. What its calls do is in the parts that it is made of. */
import {
  isObject,
  parseMessage,
  unquotedMessageOf,
  type EventRun,
  type Message,
  type RequestId,
} from '../../../copilot/index.ts';
import type { Member } from '../../members.ts';
import type { ClientId, ClientLink, ClientWork, CloseReason, MethodRules, ToldRules } from '../../model.ts';
import { Attachments } from './attachments.ts';
import { CallRoute } from './call-route.ts';
import { ClientCalls } from './client-calls.ts';
import { stateOf } from './client-moves.ts';
import { ClientPrompts } from './client-prompts.ts';
import { ClientQuestions } from './client-questions.ts';
import type { ClientState, DeclaredSession, MovableHandler } from '../setup/client-state.ts';
import { admission, pieceAdmission } from '../journal/events.ts';
import { Forwarding } from './forwarding.ts';
import { IsolatedCalls } from './isolated.ts';
import { type ClientAnswer, type RelayLimits, type SessionClient } from '../model.ts';
import type { RelayObserver } from '../observer.ts';
import type { ClientRequest, RequestingClient } from './open-requests.ts';
import { invalid, refusedParam } from '../refusals.ts';
import { Replies } from './replies.ts';
import { roomOf, tenantRoomOf } from './request-admission.ts';
import { ClientGoneError } from '../server/server-answer.ts';
import type { TenantHomes } from '../tenant/tenant-homes.ts';

export interface ClientRelayOptions {
  readonly link: ClientLink;
  readonly rules: MethodRules;
  readonly limits: RelayLimits;
  readonly observer: RelayObserver;
  readonly clock: { now(): number };
  readonly newId: () => string;
  /** The servers of the client's tenant. */
  readonly homes: TenantHomes;
  /** The tenant takes no prompts now. */
  readonly isPaused: () => boolean;
  /** The client uses the tenant, so that it is not idle. */
  readonly onUse: () => void;
  /** The users of the tenant are kept apart. Whoever states no user is not admitted to it. */
  readonly isIsolated: boolean;
}

/** Not an error made for each client, which has a stack: nobody looks at it. */
const GONE = new ClientGoneError();

/** Carries one client's frames. It parses every one: a method must be the one that the server will read, too. */
export class ClientRelay implements MovableHandler, RequestingClient {
  readonly #options: ClientRelayOptions;
  readonly #questions: ClientQuestions;
  readonly #replies: Replies;
  readonly #attachments: Attachments;
  readonly #calls: ClientCalls;
  readonly #route: CallRoute;
  readonly #member: Member<SessionClient>;
  #ended = false;
  /** Made when it is asked for: clients that come in crowds may only wait, and to make one and abort it is dear. */
  #gone: AbortController | undefined;

  constructor(options: ClientRelayOptions) {
    this.#options = options;
    const { link, limits, observer, homes } = options;
    this.#questions = new ClientQuestions(link.askedBefore ?? 0);
    const replies = new Replies(this, homes, { tenant: link.identity.tenant, limits, observer });
    const forwarding = new Forwarding(this, replies, options);
    const prompts = new ClientPrompts(this, replies, forwarding, options);
    const isolated = this.#isolatedCalls(replies);
    const attachments = new Attachments(this, { replies, forwarding, prompts, isolated }, options);
    const calls = new ClientCalls(this, { replies, forwarding, prompts, attachments }, options);
    this.#replies = replies;
    this.#attachments = attachments;
    this.#calls = calls;
    this.#route = new CallRoute(this, { replies, isolated, calls }, options);
    // So that it is told of sessions from now on.
    this.#member = homes.join(this);
  }

  /** Undefined: the clients of the tenant are one trust domain. */
  #isolatedCalls(replies: Replies): IsolatedCalls<ClientRequest> | undefined {
    const { link, rules, newId, isIsolated } = this.#options;
    const { user } = link.identity;
    if (user === undefined || !isIsolated) return undefined;
    return new IsolatedCalls({
      user,
      forced: rules.forced,
      newId,
      gone: () => this.gone,
      goOn: (request) => this.#calls.make(rules.ruleOf(request.method), request),
      pass: (id, answer) => replies.pass(id, answer),
      reply: (id, body) => replies.reply(id, body),
    });
  }

  get openBytes(): number {
    return this.#replies.open.bytes;
  }

  get gone(): AbortSignal {
    this.#gone ??= new AbortController();
    if (this.#ended) this.#gone.abort(GONE);
    return this.#gone.signal;
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  get id(): ClientId {
    return this.#options.link.id;
  }

  get user(): string | undefined {
    return this.#options.link.identity.user;
  }

  recheck(): void {
    this.#attachments.recheck();
  }

  get work(): ClientWork {
    const attached = this.#attachments.current;
    const waiting = attached.reduce((sum, { turn }) => sum + turn.heldBy(this), 0);
    return { calls: this.#replies.open.size, waiting, sessions: attached.length };
  }

  get state(): ClientState {
    const { rules } = this.#options;
    const { sessions } = this.#attachments;
    return stateOf(this, sessions, this.#replies.open.all, (method) => rules.ruleOf(method).rewrite);
  }

  expect(session: DeclaredSession): void {
    this.#attachments.expect(session);
  }

  get isBusy(): boolean {
    return this.#replies.open.size > 0 || this.#attachments.areBusy;
  }

  frame(body: Buffer): void {
    if (this.#ended) return;
    let message: Message;
    try {
      message = parseMessage(body);
    } catch (error) {
      return this.#options.link.close({ reason: 'ProtocolError', message: unquotedMessageOf(error) });
    }
    if (message.kind === 'request') this.#request(message, body.length);
    else if (message.kind === 'answer') this.#questions.answered(message.id, { result: message.result });
    else if (message.kind === 'error')
      this.#questions.answered(message.id, { error: { code: message.code, message: message.message } });
    // Notifications of clients change nothing: the only one that SDKs send is a cancellation, which servers ignore.
  }

  drained(): void {
    // What a client could not be sent was dropped, or is queued in its connection.
  }

  closed(_reason: CloseReason): void {
    this.#ended = true;
    this.#gone?.abort(GONE);
    this.#questions.clear();
    if (!this.#attachments.isEmpty) this.#options.onUse();
    this.#attachments.leaveAll();
    this.#options.homes.leave(this.#member);
  }

  deliver(body: Buffer | string, type?: string): void {
    if (this.#ended) return;
    const { link, limits, observer } = this.#options;
    const verdict = admission(type, link.queuedBytes, limits);
    if (verdict === 'Send') link.send(body);
    if (verdict === 'Drop') observer.piecesDropped(1);
    if (verdict === 'Cut') this.#cut();
  }

  deliverPieces({ frames, count }: EventRun): void {
    if (this.#ended) return;
    const { link, limits, observer } = this.#options;
    const verdict = pieceAdmission(link.queuedBytes, limits);
    if (verdict === 'Send') link.sendFrames(frames, count);
    if (verdict === 'Drop') observer.piecesDropped(count);
    if (verdict === 'Cut') this.#cut();
  }

  #cut(): void {
    const { link, limits } = this.#options;
    // What is still on its way for it would find its queue as full.
    this.#ended = true;
    link.close({
      reason: 'SlowClient',
      message: `the client has ${link.queuedBytes} bytes to read, more than the ${limits.hardQueueBytes} allowed`,
    });
  }

  ask(method: string, params: unknown, answered: (answer: ClientAnswer) => void): () => void {
    const { body, drop } = this.#questions.ask(method, params, answered);
    this.deliver(body);
    return drop;
  }

  told(rules: ToldRules): void {
    this.#options.link.told?.(rules);
  }

  #request({ id, method, params = {} }: { id: RequestId; method: string; params?: unknown }, bytes: number): void {
    const { rules, limits, homes } = this.#options;
    const replies = this.#replies;
    const { open } = replies;
    if (open.has(id))
      return replies.refuseUnopened('Invalid', invalid(id, 'the id of a request that is not answered yet'));
    if (!isObject(params)) return replies.refuseUnopened('Invalid', invalid(id, '"params" that are not an object'));
    const full = roomOf(id, bytes, open, limits);
    if (full !== undefined) return replies.refuseUnopened(full.reason, full.body);
    const rule = rules.ruleOf(method);
    const refusal = rule.action === 'deny' ? undefined : rules.checkParams(method, params, homes.hasLogin);
    // Before anything is kept of it: a session is never declared or replayed with what was refused.
    if (refusal !== undefined) return this.deliver(refusedParam(id, refusal));
    const tenantFull = tenantRoomOf(id, bytes, rule, homes);
    if (tenantFull !== undefined) return replies.refuseUnopened(tenantFull.reason, tenantFull.body);
    const request = { id, method, params, bytes, isRepeatable: rule.isRepeatable, gone: this.gone };
    open.add(request);
    const goesOut = rule.action === 'relay' || rule.action === 'rewrite';
    if (goesOut) this.#route.take(rule, request);
    else this.#calls.make(rule, request);
  }
}
