/** A session of a client that is forwarded, as its holder sees it pass by. */
import type { EventHead, RequestId } from '../../copilot/index.ts';
import type { ToldRules } from '../model.ts';
import type { DeclaredSession } from '../relay/setup/client-state.ts';
import { restated } from '../relay/setup/declarations.ts';
import { WAIT_TYPES, endsWait } from '../relay/journal/events.ts';
import { DEFAULT_LIMITS, type Declaration } from '../relay/model.ts';
import { Prompts, openPromptOf, type OpenMessage, type Prompt } from '../relay/turns/prompts.ts';
import { ReplayRecord } from '../relay/setup/replay.ts';
import { seenEvent } from '../relay/journal/seen-event.ts';
import { Trail } from '../relay/journal/trail.ts';

const STARTS = new Set(['user.message', 'assistant.turn_start']);

export class SeenSession {
  declaration: Declaration;
  readonly replay = new ReplayRecord();
  readonly id: string;
  readonly #now: () => number;
  #trail = new Trail();
  #prompts = new Prompts();
  /** What the client was asked by events, and what is still open of it. */
  readonly #offered = new Set<string>();
  /** How often what it allows was changed, as homes say. */
  #changes = 0;
  #hadTurn: boolean;
  /** A prompt of the client was taken, and the session was not idle since. */
  #isTaken = false;
  #isRunning = false;

  /** `hadTurn`: it was there before. `now`: monotonic ms. */
  constructor(id: string, declaration: Declaration, hadTurn: boolean, now: () => number) {
    this.id = id;
    this.#now = now;
    this.#hadTurn = hadTurn;
    this.declaration = declaration;
  }

  /** One that goes on, with those of its prompts that are not answered. */
  static of(
    before: DeclaredSession,
    now: () => number,
  ): { readonly session: SeenSession; readonly open: readonly Prompt[] } {
    const { sessionId, declaration, hadTurn, calls, changes = 0, isRunning, course } = before;
    const session = new SeenSession(sessionId, declaration, hadTurn, now);
    for (const { method, params } of calls) session.replay.keep(method, params, {});
    session.#changes = changes;
    session.#isTaken = isRunning;
    session.#isRunning = isRunning && course.prompts.some(({ messages }) => messages.some(hasBegun));
    session.#trail.learn(course.trail, []);
    for (const id of course.offered) session.#offered.add(id);
    const open = course.prompts.flatMap((prompt) => {
      const { callId } = prompt;
      const adopted = session.#prompts.adopt(
        prompt,
        now(),
        callId === undefined ? undefined : { client: session, id: callId },
      );
      return callId === undefined ? [] : [adopted];
    });
    return { session, open };
  }

  /** Whether a turn runs, or a prompt of the client was taken, of which it may come. */
  get isTaken(): boolean {
    return this.#isRunning || this.#isTaken;
  }

  get state(): DeclaredSession {
    // What has begun nothing was a command, of which no end comes.
    const prompts = this.#prompts.openAt(this.#now(), this.#isRunning, DEFAULT_LIMITS.turnStartMs).map(openPromptOf);
    return {
      sessionId: this.id,
      declaration: this.declaration,
      calls: this.replay.calls,
      // What was declared at the home before was complete: else the client would have been cut.
      isIncomplete: this.replay.overflowed,
      changes: this.#changes,
      hadTurn: this.#hadTurn,
      isRunning: this.isTaken,
      course: { trail: this.#trail.known, prompts, offered: [...this.#offered] },
    };
  }

  /** The client has attached to it once more. */
  attached(declaration: Declaration, hadTurn: boolean): void {
    this.declaration = restated(this.declaration, declaration);
    this.#hadTurn ||= hadTurn;
  }

  /** The client has sent a prompt. Undefined: it is one too many, as for its home, and is not kept. */
  sent(id: RequestId, method: string, params: Readonly<Record<string, unknown>>): Prompt | undefined {
    if (!this.#prompts.hasRoomFor(params, this.#now(), this.#isRunning, DEFAULT_LIMITS.turnStartMs)) return undefined;
    return this.#prompts.sent(method, params, this.#trail.position, this.#now(), { client: this, id });
  }

  /** It was answered; `result` undefined: by an error. */
  answered(prompt: Prompt, result: Readonly<Record<string, unknown>> | undefined): void {
    if (result === undefined) return this.#prompts.drop(prompt);
    this.#prompts.acknowledged(prompt, result, this.#now());
    this.#isTaken ||= result['messageId'] !== undefined || result['messageIds'] !== undefined;
  }

  /** What was in the middle at the home before does not go on. */
  cut(): void {
    this.#trail = new Trail();
    this.#prompts = new Prompts();
    this.#offered.clear();
    this.#isTaken = false;
    this.#isRunning = false;
  }

  /** Somebody has changed what it allows. */
  told({ calls, isIncomplete, changes }: ToldRules): void {
    this.#changes = changes ?? this.#changes;
    for (const { method, params, result } of calls) this.replay.keep(method, params, result);
    if (isIncomplete) this.replay.overflow();
  }

  /** The client is sent an event of it. */
  event({ type }: EventHead, body: Buffer): void {
    const { id, fact, data } = seenEvent(this.id, type, body);
    if (id !== undefined && !this.#trail.has(id)) this.#trail.add(id, fact);
    if (type === 'session.idle') this.#idle();
    if (STARTS.has(type)) this.#started();
    const { requestId, messageId } = data;
    if (type === 'user.message' && typeof messageId === 'string') this.#prompts.seen(messageId, this.#trail.position);
    if (typeof requestId !== 'string') return;
    if (WAIT_TYPES.includes(type)) this.#offered.add(requestId);
    else if (endsWait(type)) this.#offered.delete(requestId);
  }

  #started(): void {
    this.#isRunning = true;
    this.#hadTurn = true;
  }

  #idle(): void {
    this.#isRunning = false;
    this.#isTaken = false;
    this.#prompts.finished(this.#now());
  }
}

function hasBegun({ seenAt }: OpenMessage): boolean {
  return seenAt !== undefined;
}
