/** Requests of the server for one session, until a client has answered them. */
import type { ClientAnswer, Declaration, SessionClient } from './model.ts';
import type { RelayObserver } from './observer.ts';
import { requestKindOf, settle, unattended, type RequestKind } from './requests.ts';

interface Question {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly kind: RequestKind;
  /** Clients that have been asked and are still there, with what they answered. */
  readonly asked: Map<SessionClient, ClientAnswer | undefined>;
  deadline: { cancel(): void } | undefined;
}

export interface AskedOptions {
  readonly limit: number;
  readonly attached: () => Iterable<readonly [SessionClient, Declaration]>;
  /** Calls `fn` when the time is over in which somebody who can answer may come. */
  readonly setDeadline: (fn: () => void) => { cancel(): void };
  readonly answer: (id: number | string, answer: ClientAnswer) => void;
  readonly observer: Pick<RelayObserver, 'unattended'>;
}

/** The open ones of one session. While nobody can answer, they are held: a server waits for ever. */
export class Asked {
  readonly #options: AskedOptions;
  /** By the server's id. */
  readonly #open = new Map<number | string, Question>();

  constructor(options: AskedOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Takes a request. Returns false if no client is ever asked this, or too many are open. */
  take(id: number | string, method: string, params: Readonly<Record<string, unknown>>): boolean {
    const kind = requestKindOf(method);
    if (kind === undefined || this.#open.size >= this.#options.limit || this.#open.has(id)) return false;
    const question: Question = { method, params, kind, asked: new Map(), deadline: undefined };
    this.#open.set(id, question);
    this.#askAttached(id, question);
    return true;
  }

  /** Asks a client that has just attached what it can answer. */
  offer(client: SessionClient, declaration: Declaration): void {
    for (const [id, question] of this.#open) {
      const { kind, asked, params } = question;
      const isWanted = kind.audience === 'All' || asked.size === 0;
      if (isWanted && !asked.has(client) && kind.declares(declaration, params)) this.#ask(id, question, client);
    }
  }

  /** A client is gone, and with it what it would have answered. */
  leave(client: SessionClient): void {
    for (const [id, question] of this.#open) {
      if (question.asked.has(client) && question.asked.get(client) === undefined) {
        question.asked.delete(client);
        this.#settle(id, question);
        if (this.#open.get(id) === question && question.asked.size === 0) this.#askAttached(id, question);
      }
    }
  }

  /** The server that asked is gone. Answers that still come are for nobody. */
  clear(): void {
    for (const { deadline } of this.#open.values()) deadline?.cancel();
    this.#open.clear();
  }

  #askAttached(id: number | string, question: Question): void {
    const { kind, params } = question;
    const able = [...this.#options.attached()].filter(([, declaration]) => kind.declares(declaration, params));
    const clients = kind.audience === 'All' ? able : able.slice(-1);
    for (const [client] of clients) question.asked.set(client, undefined);
    for (const [client] of clients) this.#ask(id, question, client);
    if (clients.length === 0) this.#hold(id, question);
  }

  #ask(id: number | string, question: Question, client: SessionClient): void {
    question.deadline?.cancel();
    question.deadline = undefined;
    question.asked.set(client, undefined);
    client.ask(question.method, question.params, (answer) => {
      // It may be settled, or belong to a server that is gone.
      if (this.#open.get(id) !== question || !question.asked.has(client)) return;
      question.asked.set(client, answer);
      this.#settle(id, question);
    });
  }

  #settle(id: number | string, { method, params, asked, deadline }: Question): void {
    const answers = [...asked.values()].filter((answer) => answer !== undefined);
    const settlement = settle(method, params, answers, asked.size - answers.length);
    if (settlement.kind === 'Wait') return;
    deadline?.cancel();
    this.#open.delete(id);
    this.#options.answer(id, settlement.answer);
  }

  #hold(id: number | string, question: Question): void {
    question.deadline ??= this.#options.setDeadline(() => {
      this.#open.delete(id);
      this.#options.observer.unattended(question.method);
      this.#options.answer(id, unattended(question.method, question.params));
    });
  }
}
