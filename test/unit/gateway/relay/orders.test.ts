// Everything that may become of a server and its tenant, in every order, while clients go on: each call is answered once, and each prompt that was
// acknowledged is in the journal once, with its answer. The server is a small model: a journal that outlives it, and one turn after the other.
import { describe, expect, it } from '@jest/globals';
import type { GatewayTenant, TenantSleep } from '../../../../src/gateway/model.ts';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, journalEvent, type ClientEnd, type Frame, type ServerEnd } from '../../../support/relay-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

const SERVER = 'team/acme-0';
const SESSION = { sessionId: 's' };
/** How long a turn takes, and how long after a step the next one follows, in ms: turns are cut in the middle, and some are not. */
const TURN_MS = 250;
const STEP_MS = 400;
/** What has been told for less than this is not on the disk, in ms. */
const UNWRITTEN_MS = 150;

const EVENTS = ['drain', 'replace', 'lose', 'sleep', 'wake'] as const;
type Step = (typeof EVENTS)[number] | 'delete';

/** What one process of the server does. */
interface Process {
  /** The prompt whose turn runs. */
  running: string | undefined;
  readonly queue: { readonly messageId: string; readonly content: string }[];
}

/** A tenant with one server, and what may happen to it. */
class Model {
  readonly world = new RelayWorld({ drainReturnMs: 60_000 });
  readonly #processes = new Map<ServerEnd, Process>();
  /** By the id of the event. */
  readonly #toldAt = new Map<string, number>();
  #pod = 1;
  #epoch = 0;
  #messages = 0;

  constructor() {
    const { answers } = this.world;
    const take = (method: string, answer: (process: Process, frame: Frame, end: ServerEnd) => object): void => {
      answers.set(method, (end, frame) => {
        if (!end.isClosed) end.answer(frame.id, answer(this.#of(end), frame, end));
      });
    };
    for (const method of ['session.create', 'session.resume']) take(method, () => SESSION);
    take('session.mode.get', () => ({ mode: 'plan' }));
    for (const method of ['session.permissions.pendingRequests', 'session.tools.listPendingRequests'])
      take(method, () => ({ items: [] }));
    take('sessions.close', (process) => {
      process.running = undefined;
      process.queue.splice(0);
      return {};
    });
    take('session.send', (process, { params }, end) => {
      this.#messages += 1;
      const messageId = `m${this.#messages}`;
      process.queue.push({ messageId, content: String(params?.['prompt']) });
      queueMicrotask(() => this.#begin(end));
      return { messageId };
    });
    take('session.sendMessages', (process, _, end) => {
      process.running = 'again';
      this.#endSoon(end);
      return { messageIds: [] };
    });
    this.world.activityAnswer = (end, id) =>
      end.answer(id, { hasActiveWork: this.#of(end).running !== undefined || this.#of(end).queue.length > 0 });
  }

  async happens(step: Step): Promise<void> {
    const { fleet, clock } = this.world;
    this.#epoch += 1;
    if (step === 'drain') {
      const drain = { server: SERVER, epoch: this.#epoch, podUID: `pod-${this.#pod}`, comesBack: true };
      fleet.change({ drains: [{ ...drain, timeoutMs: 2 * STEP_MS }] });
    }
    if (step === 'replace') this.#serves('Running');
    if (step === 'lose') this.#dies();
    if (step === 'sleep') {
      fleet.change({ servers: [], drains: undefined, ...this.#sleep('Stopped') });
      this.#dies();
    }
    if (step === 'wake') this.#serves('Waking');
    if (step === 'delete') fleet.delete();
    await clock.advance(STEP_MS);
  }

  /** The operator has done what it wanted, and the tenant runs. */
  async comesToRest(): Promise<void> {
    this.#serves('Running');
    await this.world.clock.advance(600_000);
  }

  #serves(phase: TenantSleep['phase']): void {
    const { fleet } = this.world;
    this.#pod += 1;
    const [server] = this.#servers;
    if (server === undefined) throw new Error('the tenant never had a server');
    const servers = [{ ...server, podUID: `pod-${this.#pod}` }];
    fleet.change({ servers, drains: undefined, ...this.#sleep(phase) });
  }

  /** As the tenant began. */
  readonly #servers: GatewayTenant['servers'] = this.world.fleet.find(TENANT)?.servers ?? [];

  #sleep(phase: TenantSleep['phase']): Pick<GatewayTenant, 'sleep'> {
    return { sleep: { afterIdleMs: 900_000, wakeTimeoutMs: 120_000, phase, epoch: this.#epoch } };
  }

  #dies(): void {
    const end = this.world.dials.at(-1);
    if (end === undefined || end.isClosed) return;
    end.isClosed = true;
    const since = this.world.clock.now() - UNWRITTEN_MS;
    this.world.journal = this.world.journal.filter(({ id }) => (this.#toldAt.get(id) ?? 0) <= since);
    end.events.closed(undefined);
  }

  #of(end: ServerEnd): Process {
    const process = this.#processes.get(end) ?? { running: undefined, queue: [] };
    this.#processes.set(end, process);
    return process;
  }

  #begin(end: ServerEnd): void {
    const process = this.#of(end);
    if (end.isClosed || process.running !== undefined) return;
    const next = process.queue.shift();
    if (next === undefined) return this.#tell(end, 'session.idle', {}, false);
    process.running = next.messageId;
    this.#tell(end, 'user.message', { ...next });
    this.#endSoon(end);
  }

  #endSoon(end: ServerEnd): void {
    const process = this.#of(end);
    const { running } = process;
    this.world.clock.setTimer(TURN_MS, () => {
      if (end.isClosed || process.running !== running) return;
      this.#tell(end, 'assistant.message', { toolRequests: [] });
      this.#tell(end, 'assistant.turn_end', {});
      process.running = undefined;
      this.#begin(end);
    });
  }

  /** Durable events are in the journal, from which those are lost that are not written when the process dies. */
  #tell(end: ServerEnd, type: string, data: object, isDurable = true): void {
    const event = journalEvent(type, data);
    this.#toldAt.set(event.id, this.world.clock.now());
    if (isDurable) this.world.journal = [...this.world.journal, event];
    end.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.event', params: { ...SESSION, event } }));
  }

  /** How often the journal has the prompt. */
  written(prompt: string): number {
    return this.world.journal.filter(({ data }) => (data as { content?: string }).content === prompt).length;
  }

  count(type: string): number {
    return this.world.journal.filter((event) => event.type === type).length;
  }
}

/** All orders of some of these, each of which begins where another one ends. */
function ordersOf<T>(all: readonly T[]): (readonly T[])[] {
  const rests = all.flatMap((each) => ordersOf(all.filter((other) => other !== each)).map((rest) => [each, ...rest]));
  return [[], ...rests];
}

interface Called {
  readonly client: ClientEnd;
  readonly id: number;
  readonly prompt: string | undefined;
}

/** What is wrong after these steps, in sentences. */
async function problemsAfter(steps: readonly Step[]): Promise<string[]> {
  const model = new Model();
  const { world } = model;
  const clients = [world.client(), world.client()];
  const calls: Called[] = [];
  const call = (client: ClientEnd, method: string, prompt?: string): void => {
    const params = prompt === undefined ? SESSION : { ...SESSION, prompt };
    calls.push({ client, id: client.call(method, params), prompt });
  };
  for (const client of clients) {
    call(client, 'session.resume');
    await settle();
  }
  for (const [index, step] of ['begin' as const, ...steps].entries()) {
    for (const [at, client] of clients.entries()) call(client, 'session.send', `prompt ${index} of ${at}`);
    for (const client of clients) call(client, 'session.mode.get');
    await world.clock.advance(STEP_MS / 4);
    if (step !== 'begin') await model.happens(step);
  }
  const isDeleted = steps.includes('delete');
  if (!isDeleted) await model.comesToRest();
  const problems: string[] = [];
  for (const { client, id, prompt } of calls) {
    const answers = client.received.filter((frame) => frame.id === id && frame.method === undefined);
    const what = prompt ?? `call ${id}`;
    if (answers.length !== 1) problems.push(`${what} has ${answers.length} answers`);
    const [answer] = answers;
    if (prompt === undefined || answer === undefined) continue;
    const times = model.written(prompt);
    const outcome = answer.error === undefined ? 'Taken' : (answer.error.data as { outcome?: string }).outcome;
    const isRight =
      outcome === 'Taken' ? times === 1 || (isDeleted && times === 0) : times <= (outcome === 'Unknown' ? 1 : 0);
    if (!isRight) problems.push(`${what} is ${outcome}, and ${times} times in the journal`);
    if (outcome !== 'Taken' && !isDeleted) problems.push(`${what} was not taken: ${answer.error?.message}`);
  }
  const [prompts, ends] = [model.count('user.message'), model.count('assistant.turn_end')];
  if (!isDeleted && prompts !== ends) problems.push(`${prompts} prompts have ${ends} ends of turns`);
  for (const client of clients)
    if (client.events.at(-1) !== 'session.idle') problems.push('a client waits for an idle');
  for (const client of clients) client.leave();
  if (isDeleted) await settle();
  else await world.clock.advance(600_000);
  if (world.relay.sessions().length > 0) problems.push('a session is left');
  return problems;
}

/** All that is wrong, each with the steps that lead there. */
async function allProblems(orders: readonly (readonly Step[])[]): Promise<string[]> {
  const found: string[] = [];
  for (const steps of orders) {
    for (const problem of await problemsAfter(steps)) found.push(`${steps.join(', ')}: ${problem}`);
  }
  return found;
}

describe('whatever happens to a server', () => {
  it('no call is lost or done twice, in any order', async () => {
    const orders = ordersOf(EVENTS);
    expect(orders).toHaveLength(326);
    expect(await allProblems(orders)).toEqual([]);
  }, 120_000);

  it('no call is left without an answer when its tenant is deleted at last', async () => {
    const orders = ordersOf(EVENTS).map((steps) => [...steps, 'delete' as const]);
    expect(await allProblems(orders)).toEqual([]);
  }, 120_000);
});
