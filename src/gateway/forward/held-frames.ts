/** Frames of a client that wait at its holder: while it is not known where its home is, and while the home moves. */
import { isObject, type Message, type RequestId } from '../../copilot/index.ts';
import type { MethodRule } from '../model.ts';
import { sessionIdOf } from '../relay/model.ts';
import type { Holding } from './messages.ts';

/** A frame that waits. */
export interface HeldFrame {
  readonly body: Buffer;
  /** Of a request; undefined: nobody waits for an answer. */
  readonly id: RequestId | undefined;
  readonly sessionId: string | undefined;
  /** Whether it is to start a turn. */
  readonly isPrompt: boolean;
  /** Since when, monotonic ms. */
  readonly since: number;
}

/** Calls that a running turn waits for, or that end it. */
const FOR_TURNS = /\.(handlePending\w*|respond\w*|abort)$/;

/** Whether a request must wait. `isHeld`: another one about its session waits already, and must not be overtaken. */
export function mustWait(
  { method, params }: Message & { readonly kind: 'request' },
  { rewrite }: MethodRule,
  holding: Holding,
  isHeld: boolean,
): boolean {
  if (holding !== 'Starts') return holding === 'All';
  if (FOR_TURNS.test(method)) return false;
  // What is immediate goes into the turn that runs.
  const isImmediate = isObject(params) && params['mode'] === 'immediate';
  return isHeld || rewrite === 'attach' || (rewrite === 'send' && !isImmediate);
}

/** The memory for the frames that wait of all clients. */
export class HeldMemory {
  readonly #limit: number;
  #used = 0;

  /** `limit` in bytes. One frame may be as large as any. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether there was room. */
  take(bytes: number): boolean {
    if (this.#used > 0 && this.#used + bytes > this.#limit) return false;
    this.#used += bytes;
    return true;
  }

  free(bytes: number): void {
    this.#used -= bytes;
  }
}

/** In the order in which they came. */
export class HeldFrames {
  readonly #memory: HeldMemory;
  #frames: HeldFrame[] = [];
  #bytes = 0;
  /** The last end of a turn that was kept back, by the session. */
  readonly #ends = new Map<string, Buffer>();

  constructor(memory: HeldMemory) {
    this.#memory = memory;
  }

  get size(): number {
    return this.#frames.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Since when the first one waits, monotonic ms; undefined: none does. */
  get since(): number | undefined {
    return this.#frames[0]?.since;
  }

  /** Keeps a copy, and returns whether there was room for it. */
  push(body: Buffer, message: Message, isPrompt: boolean, since: number): boolean {
    if (!this.#memory.take(body.length)) return false;
    const id = message.kind === 'request' ? message.id : undefined;
    const sessionId = 'params' in message && isObject(message.params) ? sessionIdOf(message.params) : undefined;
    this.#frames.push({ body: Buffer.from(body), id, sessionId, isPrompt, since });
    this.#bytes += body.length;
    return true;
  }

  /** Whether a frame about the session waits. */
  hasOf(sessionId: string | undefined): boolean {
    return sessionId !== undefined && this.#frames.some((frame) => frame.sessionId === sessionId);
  }

  /**
   * Whether the end of a turn is kept back, because a prompt for the session waits: SDKs would take it for that of this one. It is for the
   * client if the prompt is refused.
   */
  keepsEnd(sessionId: string, body: Buffer): boolean {
    if (!this.#hasPromptFor(sessionId)) return false;
    this.#ends.set(sessionId, Buffer.from(body));
    return true;
  }

  /** Takes the end that was kept back, if no prompt for the session waits any more. */
  takeEnd(sessionId: string | undefined): Buffer | undefined {
    if (sessionId === undefined || this.#hasPromptFor(sessionId)) return undefined;
    const end = this.#ends.get(sessionId);
    this.#ends.delete(sessionId);
    return end;
  }

  /** Takes all frames about the session. */
  takeOf(sessionId: string): HeldFrame[] {
    const taken = this.#frames.filter((frame) => frame.sessionId === sessionId);
    this.#frames = this.#frames.filter((frame) => frame.sessionId !== sessionId);
    this.#ends.delete(sessionId);
    for (const { body } of taken) this.#free(body.length);
    return taken;
  }

  shift(): HeldFrame | undefined {
    const frame = this.#frames.shift();
    this.#free(frame?.body.length ?? 0);
    return frame;
  }

  /** Takes all of them. */
  takeAll(): HeldFrame[] {
    const taken = this.#frames;
    this.#frames = [];
    this.#free(this.#bytes);
    return taken;
  }

  /** The client is gone. */
  clear(): void {
    this.#frames = [];
    this.#ends.clear();
    this.#free(this.#bytes);
  }

  #hasPromptFor(sessionId: string): boolean {
    return this.#frames.some((frame) => frame.isPrompt && frame.sessionId === sessionId);
  }

  #free(bytes: number): void {
    this.#bytes -= bytes;
    this.#memory.free(bytes);
  }
}
