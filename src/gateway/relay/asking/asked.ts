/** Requests of the server for one session, until a client has answered them. */
import type { RequestId } from '../../../copilot/index.ts';
import { Alone } from './first-asked.ts';
import type { ClientAnswer, Declaration, QuestionOptions, SessionClient } from '../model.ts';
import { decideNobody } from '../nobody.ts';
import type { RelayObserver } from '../observer.ts';
import { NO_OPINION, requestKindOf, settle, unattended, type RequestKind } from './requests.ts';

interface AskedClient {
  answer: ClientAnswer | undefined;
  /** Stops waiting for its answer. */
  withdraw: () => void;
}

interface Question {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly kind: RequestKind;
  readonly bytes: number;
  /** Clients that have been asked and are still there. */
  readonly asked: Map<SessionClient, AskedClient>;
  deadline: { cancel(): void } | undefined;
  /** Who is asked for a while, of those who declared it. */
  readonly alone: Alone;
  /** Whether its turn is being aborted. */
  isAborted: boolean;
  /** Whether somebody who answers it was there since it was asked, or may come. */
  isExpected: boolean;
}

export interface AskedOptions extends QuestionOptions {
  readonly answer: (id: RequestId, answer: ClientAnswer) => void;
  readonly observer: Pick<RelayObserver, 'unattended' | 'hookPassed'>;
}

/** The open ones of one session. While nobody can answer, they are held: a server waits for ever. */
export class Asked {
  readonly #options: AskedOptions;
  /** By the server's id. */
  readonly #open = new Map<RequestId, Question>();
  /** Of the frames of all. */
  #bytes = 0;

  constructor(options: AskedOptions) {
    this.#options = options;
  }

  /** Of what is open. */
  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Takes a request with a frame of `bytes`. Returns false if no client is ever asked this, or too much is open. */
  take(id: RequestId, method: string, params: Readonly<Record<string, unknown>>, bytes: number): boolean {
    const kind = requestKindOf(method);
    const { limit, maxBytes, mayKeep } = this.#options;
    if (kind === undefined || this.#open.size >= limit || this.#open.has(id)) return false;
    if (this.#bytes + bytes > maxBytes || !mayKeep(bytes)) return false;
    const unanswered = { asked: new Map(), deadline: undefined, alone: new Alone() };
    const isOf = { isAborted: false, isExpected: false };
    const question: Question = { method, params, kind, bytes, ...unanswered, ...isOf };
    this.#open.set(id, question);
    this.#bytes += bytes;
    this.#askAttached(id, question);
    return true;
  }

  /** Asks a client that has just attached what it can answer. */
  offer(client: SessionClient, declaration: Declaration): void {
    for (const [id, question] of this.#open) {
      const { kind, asked, params } = question;
      const isWanted = kind.audience === 'All' ? question.alone.isFor(client) : asked.size === 0;
      if (isWanted && !asked.has(client) && kind.declares(declaration, params)) this.#ask(id, question, client);
    }
  }

  /** A client is gone, and with it what it would have answered. */
  leave(client: SessionClient): void {
    for (const [id, question] of this.#open) {
      const asked = question.asked.get(client);
      if (asked !== undefined && asked.answer === undefined) {
        question.asked.delete(client);
        this.#settle(id, question);
        if (this.#open.get(id) === question && question.asked.size === 0) this.#askAttached(id, question);
      }
    }
  }

  /** The server has its answer by another way. Whoever was asked need not answer. */
  close(id: RequestId): void {
    const question = this.#open.get(id);
    if (question !== undefined) this.#close(id, question);
  }

  /** Answers it in place of clients, unless one was asked, or it is answered already. */
  deny(id: RequestId): void {
    const question = this.#open.get(id);
    if (question?.asked.size === 0) this.#giveUp(id, question);
  }

  /** The turn that runs is being aborted, and a server waits with that for hooks: who is not there is not waited for. */
  aborted(): void {
    for (const [id, question] of this.#open) {
      question.isAborted = question.kind.isOfTurn;
      if (question.isAborted && question.asked.size === 0) this.#giveUp(id, question);
    }
  }

  /** No turn runs any more: what it had asked and was aborted is asked of nobody. Of that the server says nothing. */
  turnEnded(): void {
    for (const [id, question] of this.#open) {
      if (!question.isAborted) continue;
      this.#close(id, question);
      this.#options.answer(id, unattended(question.method, question.params));
    }
  }

  /** The server that asked is gone. Answers that still come are for nobody. */
  clear(): void {
    for (const [id, question] of this.#open) this.#close(id, question);
  }

  #askAttached(id: RequestId, question: Question): void {
    const { kind, params } = question;
    const { turnUser, setAlone } = this.#options;
    const attached = [...this.#options.attached()];
    const able = attached.flatMap(([client, declaration]) => (kind.declares(declaration, params) ? [client] : []));
    if (kind.asks === 'Person') {
      question.alone.begin(able, turnUser(), () => setAlone(() => this.#askOthers(id, question)));
    }
    const clients = kind.audience === 'All' ? able.filter((client) => question.alone.isFor(client)) : able.slice(-1);
    this.#askAll(id, question, clients);
    // A client that was asked and has left may come back: what a hook decides on must not be had by cutting its client off.
    question.isExpected ||= clients.length > 0 || this.#options.isExpected(kind.by);
    if (clients.length === 0) this.#decide(id, question, attached.length > 0);
  }

  #decide(id: RequestId, question: Question, hasOthers: boolean): void {
    const { method, kind, isExpected, isAborted } = question;
    const decision = decideNobody({ asks: kind.asks, isExpected, hasOthers, isAborted });
    if (decision.action === 'Hold') return this.#hold(id, question);
    this.#options.onNobody(method, decision);
    if (decision.action === 'GiveUp') return this.#giveUp(id, question);
    this.#close(id, question);
    this.#options.observer.hookPassed();
    this.#options.answer(id, NO_OPINION);
  }

  #askAll(id: RequestId, question: Question, clients: readonly SessionClient[]): void {
    for (const client of clients) question.asked.set(client, notAnswered());
    for (const client of clients) this.#ask(id, question, client);
  }

  /** Asks those who were not asked, because the user of the turn had it alone. Returns whether there is one. */
  #askOthers(id: RequestId, question: Question): boolean {
    const { asked, kind, params, alone } = question;
    if (!alone.isOn) return false;
    alone.end();
    const others = [...this.#options.attached()].flatMap(([client, declaration]) =>
      !asked.has(client) && kind.declares(declaration, params) ? [client] : [],
    );
    this.#askAll(id, question, others);
    return others.length > 0;
  }

  #ask(id: RequestId, question: Question, client: SessionClient): void {
    question.deadline?.cancel();
    question.deadline = undefined;
    const asked = notAnswered();
    question.asked.set(client, asked);
    asked.withdraw = client.ask(question.method, question.params, (answer) => {
      // It may be settled, or belong to a server that is gone.
      if (this.#open.get(id) !== question || question.asked.get(client) !== asked) return;
      asked.answer = answer;
      this.#settle(id, question);
    });
  }

  #settle(id: RequestId, question: Question): void {
    const { method, params, asked } = question;
    const answers = [...asked.values()].map(({ answer }) => answer).filter((answer) => answer !== undefined);
    const settlement = settle(method, params, answers, asked.size - answers.length);
    if (settlement.kind === 'Wait') return;
    // The user of the turn cannot answer it; somebody else may.
    if ('error' in settlement.answer && this.#askOthers(id, question)) return;
    this.#close(id, question);
    this.#options.answer(id, settlement.answer);
  }

  /** Whoever has yet to answer need not. */
  #close(id: RequestId, question: Question): void {
    const { asked, deadline, alone, bytes } = question;
    deadline?.cancel();
    alone.end();
    this.#open.delete(id);
    this.#bytes -= bytes;
    for (const { withdraw } of asked.values()) withdraw();
  }

  #hold(id: RequestId, question: Question): void {
    question.deadline ??= this.#options.setDeadline(() => this.#giveUp(id, question));
  }

  #giveUp(id: RequestId, question: Question): void {
    this.#close(id, question);
    this.#options.observer.unattended(question.method);
    this.#options.answer(id, unattended(question.method, question.params));
  }
}

function notAnswered(): AskedClient {
  return { answer: undefined, withdraw: () => undefined };
}
