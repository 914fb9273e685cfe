/** One life of a gateway: its log, and the clients that use it. What they call and are told is kept, to be checked (life-checks.ts). */
import { settle } from './fake-clock.ts';
import type { HistoryEvent } from './history.ts';
import type { Dice } from './random.ts';
import type { ClientEnd, Frame } from './relay-world.ts';

/** A client of one session. */
export interface LifeClient {
  readonly name: string;
  readonly end: ClientEnd;
  readonly sessionId: string;
  readonly user?: string | undefined;
  /** The replica that it is connected to. */
  readonly at?: string;
  /** It was there before the first prompt. */
  readonly isFirst: boolean;
  /** Its connection has ended. */
  isGone: boolean;
  hasDetached: boolean;
}

export interface LifeCall {
  readonly client: LifeClient;
  readonly id: number;
  readonly method: string;
  /** Text of the prompt, which no other one has. */
  readonly prompt?: string | undefined;
  /** It is to go into the turn that runs, whose end may come before it begins one of its own. */
  readonly isSteering?: boolean;
  /** How much its client had been told before. */
  readonly told: number;
}

/** An event that a client was told; undefined: the frame is another one. */
export function eventIn({ params }: Frame): (HistoryEvent & { readonly requestId?: string }) | undefined {
  const event = params?.['event'] as { id: string; type: string; data?: object } | undefined;
  return event && { ...(event.data as { content?: string; requestId?: string }), id: event.id, type: event.type };
}

/** All events that a client was told, each at the place of its frame. */
export function eventsOf({ end }: LifeClient): ReturnType<typeof eventIn>[] {
  return end.received.map(eventIn);
}

const ANSWER = 'session.permissions.handlePendingPermissionRequest';

export class Life {
  readonly dice: Dice;
  readonly clients: LifeClient[] = [];
  readonly calls: LifeCall[] = [];
  readonly #lines: string[] = [];
  readonly #clock: { monotonic(): number };
  /** How many frames of each client were looked at for questions. */
  readonly #looked = new Map<LifeClient, number>();
  #prompts = 0;

  constructor(dice: Dice, clock: { monotonic(): number }) {
    this.dice = dice;
    this.#clock = clock;
  }

  readonly log = (line: string): void => void this.#lines.push(`${this.#clock.monotonic()} ${line}`);

  /** What happened, and what each client was told. */
  toString(): string {
    const told = this.clients.map((client) => {
      const frames = client.end.received.map((frame) => {
        const event = eventIn(frame);
        // Those of the gateway's own events are others each time.
        const id = /^e\d+$/.test(event?.id ?? '') ? event?.id : 'of the gateway';
        if (event !== undefined) return `${event.type} ${event.content ?? event.requestId ?? ''} ${id}`;
        return `answer ${frame.id}: ${frame.error === undefined ? 'done' : JSON.stringify(frame.error)}`;
      });
      return [`${client.name} was told:`, ...frames].join('\n  ');
    });
    return [...this.#lines, ...told].join('\n');
  }

  /** A client comes and resumes the session. */
  async join(end: ClientEnd, of: Pick<LifeClient, 'sessionId' | 'user' | 'at' | 'isFirst'>): Promise<void> {
    const client = { ...of, name: `client ${this.clients.length}`, end, isGone: false, hasDetached: false };
    this.clients.push(client);
    this.log(
      `${client.name}${of.user === undefined ? '' : ` of ${of.user}`}${of.at === undefined ? '' : ` at ${of.at}`}`,
    );
    this.call(client, 'session.resume', { requestPermission: true });
    await settle();
  }

  call(client: LifeClient, method: string, params: object = {}): void {
    const { prompt, mode } = params as { prompt?: string; mode?: string };
    const told = client.end.received.length;
    this.log(`${client.name} calls ${method} ${client.sessionId} ${prompt ?? ''} ${mode ?? ''}`);
    const id = client.end.call(method, { sessionId: client.sessionId, ...params });
    this.calls.push({ client, id, method, prompt, isSteering: mode === 'immediate', told });
  }

  /** A prompt unlike any other. */
  prompt(client: LifeClient, params: object = {}): void {
    this.#prompts += 1;
    this.call(client, 'session.send', { prompt: `p${this.#prompts}`, ...params });
  }

  leave(client: LifeClient): void {
    this.log(`${client.name} leaves`);
    client.isGone = true;
    client.end.leave();
  }

  detach(client: LifeClient): void {
    this.call(client, 'session.detach');
    client.hasDetached = true;
  }

  /** Clients that use their session. */
  get users(): LifeClient[] {
    return this.clients.filter(
      ({ isGone, hasDetached, end }) => !isGone && !hasDetached && end.answer(1)?.result !== undefined,
    );
  }

  /** Clients answer this share of what they were asked since, and `later` gets the rest. */
  answer(share: number, later: (answer: () => void) => void = () => undefined): void {
    for (const client of this.clients) {
      if (client.isGone || client.hasDetached) continue;
      const { received } = client.end;
      const asked = received.slice(this.#looked.get(client) ?? 0);
      this.#looked.set(client, received.length);
      for (const event of asked.map(eventIn)) {
        if (event?.type !== 'permission.requested') continue;
        const answer = () => this.#approve(client, event.requestId);
        if (this.dice.chance(share)) answer();
        else later(answer);
      }
    }
  }

  /** Clients answer all that they were ever asked. */
  answerAll(): void {
    this.#looked.clear();
    this.answer(1);
  }

  #approve(client: LifeClient, requestId: string | undefined): void {
    if (client.isGone || client.hasDetached) return;
    this.call(client, ANSWER, { requestId, result: { kind: 'approved' } });
  }
}
