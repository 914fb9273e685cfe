// Every method of the schema about a session of another user, on both real servers: where users are kept apart, it is as one about a
// session that does not exist, byte for byte and after as many calls. The cases follow from the schema.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isDeepStrictEqual } from 'node:util';
import type { Isolation } from '../../../src/api/names.ts';
import { METHOD_LINES } from '../../../src/gateway/methods/lines.ts';
import { decisionFor } from '../../../src/gateway/methods/rules.ts';
import { bindingTokenFor } from '../../support/gateway.ts';
import { cliSchema, paramSamples } from '../../support/method-schema.ts';
import { RawCalls } from '../../support/raw-calls.ts';
import { RelayBench } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const ALICES = 'session-of-alice';
const NOBODYS = 'session-of-nobody';
/** These name no session, or make one. */
const WITHOUT_SESSION = new Set(['connect', 'ping', 'session.create', 'session.list', 'session.getLastId']);
/** The last that the owner calls, in this order: the session is not there, or does not answer, after them. */
const ENDS = ['session.suspend', 'session.shutdown', 'session.detach', 'session.destroy', 'session.delete'];
/** They wait for a user, or for the model. */
const WAITS = new Set(['session.ui.elicitation', 'session.ui.ephemeralQuery', 'session.tasks.waitForPending']);

/** What only Alice has said. */
const SAID = 'nine-pearls';

const lines = METHOD_LINES.filter(([method]) => !WITHOUT_SESSION.has(method));

/** A server with a session of Alice, and both users. */
class World implements AsyncDisposable {
  readonly bench: RelayBench;
  readonly alice: RawCalls;
  readonly bob: RawCalls;
  /** A participant of the session of Alice, as a CopilotSession says. */
  readonly carol: RawCalls;
  readonly #samples = paramSamples(cliSchema());

  private constructor(bench: RelayBench, alice: RawCalls, bob: RawCalls, carol: RawCalls) {
    this.bench = bench;
    this.alice = alice;
    this.bob = bob;
    this.carol = carol;
  }

  /** The session is on the last one of the servers. */
  static async start(binary: 'cli' | 'runtime', isolation: Isolation, replicas = 1): Promise<World> {
    const bench = await RelayBench.startSeveral(replicas, binary, {}, { isolation });
    const { host, port } = bench.gateway;
    const open = (user: string) => RawCalls.open({ host, port, token: bindingTokenFor(user) });
    const world = new World(bench, await open('alice'), await open('bob'), await open('carol'));
    bench.gateway.ownership.record(ALICES, { owner: 'alice', participants: ['carol'] });
    const { model, provider } = bench.binding;
    for (let index = 1; index < replicas; index++) await world.alice.result('session.create', { model, provider });
    await world.alice.result('session.create', { sessionId: ALICES, model, provider, tools: [] });
    await world.alice.result('session.send', { sessionId: ALICES, prompt: SAID });
    const isIdle = ({ params }: (typeof world.alice.unasked)[number]) =>
      (params?.['event'] as { type?: unknown } | undefined)?.type === 'session.idle';
    await waitFor('the turn of alice ends', () => world.alice.unasked.some(isIdle), { withinMs: 60_000 });
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.alice[Symbol.dispose]();
    this.bob[Symbol.dispose]();
    this.carol[Symbol.dispose]();
    await this.bench[Symbol.asyncDispose]();
  }

  /** What Alice has said and was answered. */
  async history(): Promise<string> {
    return JSON.stringify(await this.alice.result('session.getMessages', { sessionId: ALICES }));
  }

  /** The answer without ids, and how many frames the server got for it. */
  async ask(who: RawCalls, method: string, sessionId: string): Promise<{ text: string; frames: number }> {
    const sent = () => this.bench.gateway.metric('copilot_gateway_server_sent_frames_total');
    const before = await sent();
    const { text } = await who.call(method, { ...this.#samples(method), sessionId });
    const frames = (await sent()) - before;
    return { text: text.replace(/"id":\d+/, '"id":0').replaceAll(sessionId, '<id>'), frames };
  }
}

/** What lists features of the server has them in an order that changes from call to call. */
function isSameAnswer(method: string, a: string, b: string): boolean {
  return a === b || (!method.startsWith('session') && isDeepStrictEqual(JSON.parse(a), JSON.parse(b)));
}

function brief({ text, frames }: { text: string; frames: number }): string {
  return `${frames} frames: ${text.slice(0, 300)}`;
}

describe.each(['cli', 'runtime'] as const)('on the %s', (binary) => {
  describe.each([
    ['Shared', 1],
    ['SharedTrusted', 1],
    ['SharedTrusted', 2],
  ] as const)('in a tenant with isolation %s and %i server(s)', (isolation, replicas) => {
    let world: World;

    beforeAll(async () => {
      world = await World.start(binary, isolation, replicas);
      expect(world.bench.gateway.snapshot.sessions.find(({ id }) => id === ALICES)?.server).toBe(
        `team/acme-${replicas - 1}`,
      );
    }, 180_000);
    afterAll(() => world[Symbol.asyncDispose]());

    it('a stranger gets from every method what an unknown id gets, after as many calls', async () => {
      const before = await world.history();
      const differing: object[] = [];
      let reached = 0;
      for (const [method] of lines) {
        const foreign = await world.ask(world.bob, method, ALICES);
        const unknown = await world.ask(world.bob, method, NOBODYS);
        if (foreign.frames > 0) reached += 1;
        const isSame = isSameAnswer(method, foreign.text, unknown.text) && foreign.frames === unknown.frames;
        if (!isSame || foreign.text.includes(SAID))
          differing.push({ method, foreign: brief(foreign), unknown: brief(unknown) });
      }
      expect(differing).toEqual([]);
      // Not because all of them are denied.
      expect(reached).toBeGreaterThan(80);
      expect(await world.history()).toBe(before);
      expect(JSON.stringify(world.bob.unasked)).not.toContain(ALICES);
    }, 600_000);

    it('owner and participant get from every method that is allowed what somebody who has the session gets', async () => {
      const allowed = lines
        .filter((line) => decisionFor(line, isolation) !== 'deny' && line[0].startsWith('session.'))
        .map(([method]) => method)
        .filter((method) => !WAITS.has(method) && !ENDS.includes(method));
      const unknown: string[] = [];
      for (const method of allowed) {
        for (const who of [world.alice, world.carol]) {
          const { text } = await world.ask(who, method, ALICES);
          if (/session (file )?not found/i.test(text)) unknown.push(method);
        }
      }
      expect(unknown).toEqual([]);
      for (const method of ENDS) await world.ask(world.alice, method, ALICES);
      // The last one has deleted it, which the server did for nobody else.
      expect((await world.ask(world.alice, 'session.getMessages', ALICES)).text).toMatch(/session not found/i);
    }, 600_000);
  });

  it('in a Dedicated tenant the users are one trust domain, for every method that is allowed, and no other passes', async () => {
    await using world = await World.start(binary, 'Dedicated');
    const allowed = ['session.getMessages', 'session.mode.get', 'session.metadata.activity', 'session.resume'];
    for (const method of allowed) {
      const [owner, other] = [await world.ask(world.alice, method, ALICES), await world.ask(world.bob, method, ALICES)];
      expect(other.text).not.toMatch(/not found/i);
      expect({ method, text: other.text }).toEqual({ method, text: owner.text });
    }
    const unknown: string[] = [];
    const passed: string[] = [];
    let reached = 0;
    for (const line of lines) {
      const [method] = line;
      const isDenied = decisionFor(line, 'Dedicated') === 'deny';
      if (!isDenied && (!method.startsWith('session.') || WAITS.has(method) || ENDS.includes(method))) continue;
      for (const who of [world.alice, world.bob]) {
        const { text, frames } = await world.ask(who, method, ALICES);
        if (isDenied && (frames > 0 || !text.includes('-32601'))) passed.push(`${method}: ${text.slice(0, 300)}`);
        if (!isDenied && /session (file )?not found/i.test(text)) unknown.push(method);
        if (!isDenied && frames > 0) reached += 1;
      }
    }
    expect([unknown, passed]).toEqual([[], []]);
    expect(reached).toBeGreaterThan(200);
    for (const method of ENDS) await world.ask(world.bob, method, ALICES);
    expect((await world.ask(world.alice, 'session.getMessages', ALICES)).text).toMatch(/session not found/i);
  }, 180_000);
});
