/** The prompts of a session that its server has not finished, or has finished so lately that it may not have written the answer. */
import { isObject, type RequestId } from '../../../copilot/index.ts';
import { digestOf } from '../journal/facts.ts';
import type { ClientId } from '../../model.ts';
import { isServerId, type ServerAnswer, type SessionClient } from '../model.ts';
import type { CutMessage } from '../journal/recovery.ts';

/** Whose call a prompt is. The client is compared by identity. */
export interface Sender {
  readonly client: Pick<SessionClient, 'id' | 'user'> & Partial<Pick<SessionClient, 'deliver'>>;
  /** Undefined: it was answered at another home. */
  readonly id: RequestId | undefined;
}

/** A prompt that has not come to its end, as another replica is told. */
export interface OpenPrompt {
  readonly method: string;
  readonly params?: Readonly<Record<string, unknown>> | undefined;
  readonly messages: readonly OpenMessage[];
  readonly isAcknowledged: boolean;
  /** Of the call of its client. */
  readonly callId?: RequestId | undefined;
}

/** One of its messages. The places are those of its client's trail. */
export interface OpenMessage {
  readonly ids: readonly string[];
  readonly content: string;
  readonly seenAt?: number | undefined;
  /** When it was sent. */
  readonly sentAt: number;
}

/** One call that begins a turn. */
export interface Prompt {
  readonly method: string;
  /** Undefined: it was too large to be kept. */
  readonly params: Readonly<Record<string, unknown>> | undefined;
  readonly messages: readonly PromptMessage[];
  /** Undefined: the gateway's own, or nobody's any more. */
  readonly sender: Sender | undefined;
  /** Called once with the answer, where the connection was lost before it. */
  waiting: ((answer: ServerAnswer) => void) | undefined;
  /** Gets the answer, too: the same client as its sender, whose connection was lost, has come again. */
  heir: ((answer: ServerAnswer) => void) | undefined;
  /** When the server acknowledged it, monotonic ms. */
  acknowledgedAt: number | undefined;
  /** When the turn of it ended, monotonic ms. */
  finishedAt: number | undefined;
  /** Characters of its params as JSON. */
  readonly length: number;
  /** Whether it may be one for the program, such as `/help`, that begins no turn. */
  readonly mayBeCommand: boolean;
}

/** One of its messages. `session.send` has one, `session.sendMessages` any number. */
export interface PromptMessage extends CutMessage {
  readonly ids: Set<string>;
  seenAt: number | undefined;
  unansweredSince: number | undefined;
  /** The place in the trail when it was sent. */
  sentAt: number;
}

/** Ms in which a server has written the end of a turn to the disk. */
export const SETTLES_MS = 1000;
/** Characters of the params of all prompts of a session; a single one may have more. */
const MOST_LENGTH = 4 * 1024 * 1024;
/** Prompts of one session, and messages of them. */
const MOST = 4096;
/** What a prompt, or a message of it, takes in memory beside its params, at least. */
const ENTRY_BYTES = 256;

/** Of one session. */
export class Prompts {
  /** In the order in which they were sent. */
  #prompts: Prompt[] = [];
  #wereSent = false;
  /** The server is lost: it writes nothing any more. */
  #isLost = false;

  /** Whether there ever was one: the server may have written it, and clients not have heard of that. */
  get wereSent(): boolean {
    return this.#wereSent;
  }

  /** Those that a server that was lost has got, or may have got. */
  get cut(): readonly Prompt[] {
    return this.#prompts.filter(isCut);
  }

  /** Whether such a server has yet to finish one. */
  get areUnfinished(): boolean {
    return this.cut.some(({ finishedAt }) => finishedAt === undefined);
  }

  /** Whether one will be sent as soon as the session is loaded, or was just sent. */
  get areOnTheWay(): boolean {
    return this.#prompts.some((prompt) => !isCut(prompt));
  }

  /** Characters of what is kept: of the params as JSON, and of what is known of each. */
  get length(): number {
    return this.#paramsLength + this.#size * ENTRY_BYTES;
  }

  get #paramsLength(): number {
    return this.#prompts.reduce((sum, each) => sum + (each.params === undefined ? 0 : each.length), 0);
  }

  get #size(): number {
    return this.#prompts.reduce((sum, { messages }) => sum + 1 + messages.length, 0);
  }

  /** Whether one with these params can be sent beside those that are kept, which are not given up for it. */
  hasRoomFor(params: Readonly<Record<string, unknown>>, now: number, isRunning: boolean, startMs: number): boolean {
    const size = 1 + messagesOf(params).length;
    if (this.#size + size <= MOST) return true;
    this.forgetSettled(now);
    this.#forgetCommands(now, isRunning, startMs);
    return this.#size + size <= MOST;
  }

  has(prompt: Prompt): boolean {
    return this.#prompts.includes(prompt);
  }

  /** A prompt is sent, when the trail is at `position`. */
  sent(
    method: string,
    params: Readonly<Record<string, unknown>>,
    position: number,
    now: number,
    sender?: Sender,
  ): Prompt {
    this.#wereSent = true;
    this.forgetSettled(now);
    const { length } = JSON.stringify(params);
    const total = this.#paramsLength;
    const isKept = total === 0 || total + length <= MOST_LENGTH;
    const messages = messagesOf(params).map((content) => ({
      ids: new Set<string>(),
      content: digestOf(content),
      seenAt: undefined,
      unansweredSince: position,
      sentAt: position,
    }));
    const prompt: Prompt = {
      method,
      params: isKept ? params : undefined,
      messages,
      sender,
      waiting: undefined,
      heir: undefined,
      acknowledgedAt: undefined,
      finishedAt: undefined,
      length,
      mayBeCommand: mayBeCommand(params),
    };
    this.#prompts.push(prompt);
    return prompt;
  }

  /** Goes on with a prompt that another home had. Its places are those of its client's trail. */
  adopt(open: OpenPrompt, now: number, sender: Sender | undefined): Prompt {
    const prompt: Prompt = {
      method: open.method,
      params: open.params,
      messages: open.messages.map(({ ids, content, seenAt, sentAt }) => ({
        ids: new Set(ids),
        content,
        seenAt,
        // Also of one that was acknowledged: the home may have sent it again, and known under which id.
        unansweredSince: sentAt,
        sentAt,
      })),
      sender,
      waiting: undefined,
      heir: undefined,
      acknowledgedAt: open.isAcknowledged ? now : undefined,
      finishedAt: undefined,
      length: open.params === undefined ? 0 : JSON.stringify(open.params).length,
      mayBeCommand: open.params !== undefined && mayBeCommand(open.params),
    };
    this.#wereSent = true;
    this.#prompts.push(prompt);
    return prompt;
  }

  /** The prompt that a client had sent on a connection before, if it is known here; it was another home's otherwise. */
  find({ callId, messages }: OpenPrompt, client: ClientId): Prompt | undefined {
    const ids = messages.flatMap((message) => message.ids);
    return this.#prompts.find(
      ({ sender, messages: own }) =>
        (callId !== undefined && sender?.id === callId && sender.client.id === client) ||
        own.some((message) => ids.some((id) => message.ids.has(id))),
    );
  }

  /** Those that have not come to their end, and are no commands, as another replica is told. */
  openAt(now: number, isRunning: boolean, startMs: number): readonly Prompt[] {
    return this.#prompts.filter(
      (prompt) => prompt.finishedAt === undefined && mayGoOn(prompt, now, isRunning, startMs),
    );
  }

  /** The server has acknowledged it, and named its messages so. */
  acknowledged(prompt: Prompt, result: Readonly<Record<string, unknown>>, now: number): void {
    const { messageId, messageIds } = result;
    const ids = Array.isArray(messageIds) ? messageIds : [messageId];
    prompt.acknowledgedAt = now;
    for (const [index, message] of prompt.messages.entries()) {
      const id: unknown = ids[index];
      if (isServerId(id)) message.ids.add(id);
      message.unansweredSince = undefined;
    }
  }

  /** The server has refused it, or certainly has not got it. */
  drop(prompt: Prompt): void {
    this.#prompts = this.#prompts.filter((each) => each !== prompt);
  }

  /** The server has begun with the message, by the event at `position` of the trail. Its turn may have been over, and not on the disk of one that was lost. */
  seen(messageId: string, position: number): void {
    for (const prompt of this.#prompts) {
      for (const message of prompt.messages) {
        if (!message.ids.has(messageId)) continue;
        message.seenAt = position;
        prompt.finishedAt = undefined;
      }
    }
  }

  /** What clients saw after the event at `position` of the trail is in no journal, as if it had not come. */
  unseenAfter(position: number): void {
    for (const { messages } of this.#prompts) {
      for (const message of messages) if ((message.seenAt ?? 0) > position) message.seenAt = undefined;
    }
  }

  /** The session was closed, and with it all that the server has acknowledged. */
  closed(): void {
    this.#prompts = this.#prompts.filter(({ acknowledgedAt }) => acknowledgedAt === undefined);
  }

  /** The server has worked on every prompt that it has acknowledged. */
  finished(now: number): void {
    this.forgetSettled(now);
    for (const prompt of this.#prompts) if (prompt.acknowledgedAt !== undefined) prompt.finishedAt ??= now;
  }

  /** The server is lost. Only those stay about which its journal has to be asked. */
  lost(now: number, isRunning: boolean, startMs: number): void {
    this.forgetSettled(now);
    this.#isLost = true;
    this.#forgetCommands(now, isRunning, startMs);
  }

  /** A server has loaded the session, so that it is known what the one before had written. */
  loaded(): void {
    this.#isLost = false;
  }

  /** An acknowledged prompt that has begun nothing for `startMs` while no turn ran was a command, if it looks like one. */
  #forgetCommands(now: number, isRunning: boolean, startMs: number): void {
    this.#prompts = this.#prompts.filter((prompt) => mayGoOn(prompt, now, isRunning, startMs));
  }

  /** Forgets all. Who waits for the answer to one gets this. */
  giveUp(answer: ServerAnswer): void {
    const waiting = this.#prompts;
    this.#prompts = [];
    this.#isLost = false;
    for (const prompt of waiting) answerWaiting(prompt, answer);
  }

  /** The server has closed the session to have it go on elsewhere: what it has finished is on the disk. */
  forgetFinished(): void {
    this.#prompts = this.#prompts.filter(({ finishedAt }) => finishedAt === undefined);
  }

  /** Forgets those of which the end is on the disk by now. */
  forgetSettled(now: number): void {
    if (this.#isLost) return;
    this.#prompts = this.#prompts.filter(({ finishedAt = now }) => now - finishedAt < SETTLES_MS);
  }
}

/** The prompt as another replica is told. */
export function openPromptOf({ method, params, messages, acknowledgedAt, sender }: Prompt): OpenPrompt {
  return {
    method,
    params,
    messages: messages.map(({ ids, content, seenAt, sentAt }) => ({ ids: [...ids], content, seenAt, sentAt })),
    isAcknowledged: acknowledgedAt !== undefined,
    callId: acknowledgedAt === undefined ? sender?.id : undefined,
  };
}

/** The call of a prompt that no server has got yet, as another replica is told. */
export function waitingPrompt(
  callId: RequestId,
  method: string,
  params: Readonly<Record<string, unknown>>,
  sentAt: number,
): OpenPrompt {
  const messages = messagesOf(params).map((content) => ({ ids: [], content: digestOf(content), sentAt }));
  return { method, params, messages, isAcknowledged: false, callId };
}

/** Whether it may begin a turn, or have begun one. */
function mayGoOn(prompt: Prompt, now: number, isRunning: boolean, startMs: number): boolean {
  const { acknowledgedAt, messages, mayBeCommand } = prompt;
  // A server that is busy may need long to begin.
  if (!mayBeCommand || isRunning) return true;
  return now - (acknowledgedAt ?? now) < startMs || messages.some(({ seenAt }) => seenAt !== undefined);
}

function isCut({ acknowledgedAt, waiting }: Prompt): boolean {
  return acknowledgedAt !== undefined || waiting !== undefined;
}

/** Answers who waits for the answer to the prompt. */
export function answerWaiting(prompt: Prompt, answer: ServerAnswer): void {
  const { waiting } = prompt;
  prompt.waiting = undefined;
  waiting?.(answer);
}

/** What begins with a letter or a digit is said to the model, unless the prompt is for a shell. */
const WORDS = /^\s*[\p{L}\p{N}]/u;

function mayBeCommand(params: Readonly<Record<string, unknown>>): boolean {
  const { agentMode } = params;
  return agentMode === 'shell' || !messagesOf(params).every((text) => typeof text === 'string' && WORDS.test(text));
}

function messagesOf(params: Readonly<Record<string, unknown>>): unknown[] {
  const { messages, prompt } = params;
  return Array.isArray(messages) ? messages.map((each: unknown) => (isObject(each) ? each['prompt'] : '')) : [prompt];
}
