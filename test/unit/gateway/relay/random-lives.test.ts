// Lives of one replica of the gateway that chance decides: clients that come and go, servers that are lost, drained, replaced and unload
// sessions, and limits that make prompts and sessions wait.
import { expect, it } from '@jest/globals';
import type { TurnRule } from '../../../../src/api/names.ts';
import { Life, type LifeClient } from '../../../support/life.ts';
import { problemsOfLife } from '../../../support/life-checks.ts';
import { deadlineOf, runLives, type EndedLife } from '../../../support/lives.ts';
import { ModelServer } from '../../../support/model-server.ts';
import { Dice } from '../../../support/random.ts';
import { RelayWorld } from '../../../support/relay-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

const SERVER = 'team/acme-0';
const SESSIONS = ['a', 'b', 'c'];
const STEPS = 25;
/** Until the first clients are attached, in ms. */
const LOOK_MS = 50;
const MOST_LOOKS = 100;
/** Longest time between two steps, in ms. */
const STEP_MS = 500;
/** Timers of a gateway without clients: that of its connection, and those that look after what it keeps. */
const TIMERS_LEFT = 3;

/** What is the same for the whole of a life. */
interface Rules {
  /** No server is lost, and limits stay as they are. */
  readonly isCalm: boolean;
  readonly maxConcurrentTurns: number | undefined;
  readonly maxConcurrent: number | undefined;
  readonly mayAbort: boolean;
  /** How the users of each session share its turns. */
  readonly turns: ReadonlyMap<string, TurnRule | undefined>;
}

function rulesOf(dice: Dice, seed: number): Rules {
  const isCalm = seed % 5 === 0;
  const isShared = dice.chance(0.4);
  return {
    isCalm,
    maxConcurrentTurns: dice.chance(0.7) ? 1 : undefined,
    maxConcurrent: dice.chance(0.3) ? 1 + dice.below(2) : undefined,
    mayAbort: seed % 3 === 0,
    turns: new Map(
      SESSIONS.map((id) => [
        id,
        isShared ? dice.oneOf<TurnRule | undefined>(['Queue', 'Refuse', undefined]) : undefined,
      ]),
    ),
  };
}

interface Step {
  readonly weight: number;
  /** Not in calm lives. */
  readonly isRough?: true;
  readonly take: (client: LifeClient) => void | Promise<void>;
}

class OneReplica {
  readonly world = new RelayWorld({ drainReturnMs: 60_000, recentlyUsedMs: 200 });
  readonly rules: Rules;
  readonly life: Life;
  readonly server: ModelServer;
  readonly aborted = new Set<string>();
  readonly #dice: Dice;
  #pod = 1;
  #drains = 0;

  constructor(dice: Dice, seed: number) {
    const { clock, dials, fleet, ownership } = this.world;
    this.#dice = dice;
    this.rules = rulesOf(dice, seed);
    this.life = new Life(dice, clock);
    this.server = new ModelServer({ clock, dice, log: this.life.log, current: () => dials.at(-1) });
    this.server.play(this.world);
    for (const [id, turns] of this.rules.turns) {
      if (turns !== undefined) ownership.record(id, { owner: 'alice', participants: ['bob'], settings: { turns } });
    }
    const { maxConcurrentTurns, maxConcurrent } = this.rules;
    fleet.change({ limits: { maxConcurrentTurns, maxConcurrent } });
    this.life.log(JSON.stringify({ ...this.rules, turns: [...this.rules.turns] }));
  }

  async lives(): Promise<void> {
    const dice = this.#dice;
    for (const id of SESSIONS) for (let n = 0; n < 2; n += 1) await this.#join(id, true);
    // One whose session waits for a place comes later.
    for (let n = 0; n < MOST_LOOKS && this.life.users.length < this.life.clients.length; n += 1)
      await this.#pass(LOOK_MS, 50);
    const steps = this.#steps().filter(({ isRough }) => !this.rules.isCalm || isRough !== true);
    for (let n = 0; n < STEPS; n += 1) {
      if (dice.chance(0.1) && !this.rules.isCalm) this.server.callsLeft = 1 + dice.below(14);
      const client = dice.oneOf(this.life.users);
      if (client !== undefined) await dice.weighted(steps)?.take(client);
      await this.#pass(dice.below(STEP_MS), 50);
    }
  }

  /** Nothing happens any more, and every question is answered: all has to come to its end, and new prompts go through. */
  async settles(): Promise<void> {
    const { life, server, world } = this;
    const { isCalm, maxConcurrentTurns, maxConcurrent } = this.rules;
    life.log('from here on nothing happens to the server any more');
    world.fleet.change({ limits: { maxConcurrentTurns, maxConcurrent } });
    server.callsLeft = 0;
    server.turns.asks = 0;
    world.isUp = true;
    // The next server would hide what is kept of sessions without clients.
    if (!isCalm) this.#replace();
    // A question that nobody is there to answer would keep others from places in the memory of the server and from turns.
    const isLimited = maxConcurrentTurns !== undefined || maxConcurrent !== undefined;
    for (const id of isLimited ? this.#waiting() : []) await this.#join(id, false);
    for (const ms of [5000, 20_000, 30_000]) {
      await this.#pass(ms, 500);
      life.answerAll();
    }
    await world.clock.advance(700_000);
    for (const client of life.users) {
      life.prompt(client);
      await world.clock.advance(3000);
    }
    await world.clock.advance(60_000);
  }

  /** What is wrong. At the end of it all clients have left. */
  async problems(): Promise<string[]> {
    const { life, server, world, rules, aborted } = this;
    const problems = problemsOfLife({
      clients: life.clients,
      calls: life.calls,
      aborted,
      journal: (id) => server.disk.journal(id),
      mayRefuse: ({ client }, { code, data }) => {
        const { rule, holder } = (data ?? {}) as { rule?: string; holder?: string };
        if (rule === 'SessionInUse') return rules.turns.get(client.sessionId) === 'Refuse' && holder !== client.user;
        // An abort, and who leaves the session, take back what waits.
        return client.hasDetached || (aborted.has(client.sessionId) && [-32050, -32054].includes(code));
      },
    });
    for (const prompt of server.begunInDrain) problems.push(`the turn of ${prompt} began while the server was drained`);
    const { turns, mostSessions } = server;
    const { isCalm, maxConcurrentTurns = Infinity, maxConcurrent = Infinity } = rules;
    if (isCalm && turns.most > maxConcurrentTurns) problems.push(`the server ran ${turns.most} turns at once`);
    if (isCalm && mostSessions > maxConcurrent)
      problems.push(`the server had ${mostSessions} sessions in memory at once`);
    for (const { id, state, clients } of world.relay.sessions()) {
      if (state !== 'Idle' && state !== 'Unloaded') problems.push(`the session ${id} is ${state} at the end`);
      if (clients.length === 0) problems.push(`the session ${id} is kept without clients`);
    }
    for (const { name, end, isGone } of life.clients) {
      const { calls = 0, waiting = 0 } = isGone ? {} : (end.work ?? {});
      if (calls + waiting > 0) problems.push(`${calls} calls and ${waiting} prompts of ${name} wait at the end`);
      if (!isGone) end.leave();
    }
    await world.clock.advance(700_000);
    const left = world.relay.sessions().map(({ id }) => id);
    if (left.length > 0) problems.push(`the sessions ${left.join()} are kept without clients`);
    const { pendingTimers } = world.clock;
    if (pendingTimers > TIMERS_LEFT) problems.push(`${pendingTimers} timers are left`);
    return problems;
  }

  #steps(): readonly Step[] {
    const { life, server } = this;
    const dice = this.#dice;
    return [
      { weight: 45, take: (client) => life.prompt(client, dice.chance(0.1) ? { mode: 'immediate' } : {}) },
      { weight: 7, take: (client) => life.call(client, 'session.mode.get') },
      { weight: 3, isRough: true, take: () => server.dies() },
      { weight: 3, isRough: true, take: () => this.#isAway() },
      { weight: 2, isRough: true, take: () => server.stops() },
      // One that waits for a turn would have to wait for a place again, with the turn.
      { weight: this.rules.maxConcurrent === undefined ? 4 : 0, isRough: true, take: () => server.unloads() },
      { weight: 6, isRough: true, take: () => this.#drain() },
      { weight: 6, isRough: true, take: () => this.#replace() },
      { weight: 6, take: () => this.#join(dice.oneOf(SESSIONS) ?? '', false) },
      { weight: 4, take: (client) => life.leave(client) },
      { weight: 5, take: (client) => life.detach(client) },
      { weight: this.rules.mayAbort ? 3 : 0, take: (client) => this.#abort(client) },
      { weight: 4, isRough: true, take: () => this.#limit() },
    ];
  }

  async #join(sessionId: string, isFirst: boolean): Promise<void> {
    const user =
      this.rules.turns.get(sessionId) === undefined ? undefined : this.#dice.oneOf(['alice', 'bob', undefined]);
    await this.life.join(this.world.client(TENANT, user), { sessionId, user, isFirst });
  }

  /** A turn that was given without a limit must not wait for a place: so where there are both, the one of turns stays. */
  #limit(): void {
    const { maxConcurrentTurns, maxConcurrent } = this.rules;
    const limits =
      maxConcurrent === undefined
        ? { maxConcurrentTurns: this.#dice.oneOf([undefined, 1, 2]) }
        : { maxConcurrentTurns, maxConcurrent: this.#dice.oneOf([undefined, 1, 2]) };
    this.life.log(`limits are ${JSON.stringify(limits)}`);
    this.world.fleet.change({ limits });
  }

  /** Sessions that wait for an answer, and have no client that could give it. */
  #waiting(): string[] {
    const sessions = this.world.relay.sessions();
    return sessions
      .filter(({ clients, openQuestions }) => clients.length === 0 && openQuestions > 0)
      .map(({ id }) => id);
  }

  #abort(client: LifeClient): void {
    this.aborted.add(client.sessionId);
    this.life.call(client, 'session.abort');
  }

  /** The server dies, and it takes a while until the next one is there. */
  #isAway(): void {
    const { world, server, life } = this;
    if (!world.isUp) return;
    world.isUp = false;
    server.dies();
    world.clock.setTimer(this.#dice.below(3000), () => {
      life.log('the next server is there');
      world.isUp = true;
    });
  }

  #drain(): void {
    const { fleet } = this.world;
    this.#drains += 1;
    this.life.log('the server is drained');
    this.server.drains();
    const drain = { server: SERVER, epoch: this.#drains, podUID: `pod-${this.#pod}`, comesBack: true };
    fleet.change({ drains: [{ ...drain, timeoutMs: 1500 }] });
  }

  #replace(): void {
    const { fleet } = this.world;
    this.life.log('the pod of the server is replaced');
    this.#pod += 1;
    const servers = (fleet.find(TENANT)?.servers ?? []).map((server) => ({ ...server, podUID: `pod-${this.#pod}` }));
    fleet.change({ servers, drains: undefined });
    this.server.dies();
  }

  /** Time passes, and clients answer what they are asked: most at once, some later, some never. */
  async #pass(ms: number, each: number): Promise<void> {
    const { clock } = this.world;
    for (let passed = 0; passed < ms; passed += each) {
      await clock.advance(each);
      this.life.answer(0.6, (answer) => {
        if (this.#dice.chance(0.7)) clock.setTimer(300, answer);
      });
    }
  }
}

async function run(dice: Dice, seed: number): Promise<EndedLife> {
  const replica = new OneReplica(dice, seed);
  const { life } = replica;
  await replica.lives();
  await replica.settles();
  return { life, problems: await replica.problems() };
}

const LIVES = { file: 'test/unit/gateway/relay/random-lives.test.ts', sample: '1-60', run };

it('loses nothing, tells nothing twice, and keeps nothing', () => runLives(LIVES), deadlineOf(LIVES));

it('is the same life each time', async () => {
  const [first, second] = [await run(new Dice(1), 1), await run(new Dice(1), 1)];
  expect(String(second.life)).toBe(String(first.life));
});
