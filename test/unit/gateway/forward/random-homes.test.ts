// Lives of three replicas of the gateway that chance decides: the home of the tenant is killed, taken for dead or loses its streams, and its
// server dies at the same time.
import { expect, it } from '@jest/globals';
import { Life, type LifeClient } from '../../../support/life.ts';
import { problemsOfLife } from '../../../support/life-checks.ts';
import { deadlineOf, runLives, type EndedLife } from '../../../support/lives.ts';
import { ModelServer } from '../../../support/model-server.ts';
import { Dice } from '../../../support/random.ts';
import { RoutedWorld, type Replica } from '../../../support/routed-world.ts';

const SESSIONS = ['a', 'b'];
const STEPS = 20;
/** Until the first clients are attached, in ms. */
const LOOK_MS = 50;
const MOST_LOOKS = 100;
/** Longest time between two steps, in ms. */
const STEP_MS = 500;

interface Step {
  readonly weight: number;
  readonly take: (client: LifeClient) => void | Promise<void>;
}

class ThreeReplicas {
  readonly world = new RoutedWorld();
  readonly life: Life;
  readonly server: ModelServer;
  readonly #dice: Dice;
  readonly #mayBeUndecided: boolean;

  constructor(dice: Dice, seed: number) {
    const { clock, replicas } = this.world;
    this.#dice = dice;
    this.#mayBeUndecided = seed % 2 === 1;
    this.life = new Life(dice, clock);
    const current = () => this.#home?.local.dials.at(-1);
    this.server = new ModelServer({ clock, dice, log: this.life.log, current });
    const limits = dice.chance(0.5) ? { maxConcurrentTurns: 1 } : {};
    for (const { local } of replicas.values()) {
      this.server.play(local);
      local.fleet.change({ limits });
    }
  }

  async lives(): Promise<void> {
    const dice = this.#dice;
    for (const id of SESSIONS) for (let n = 0; n < 2; n += 1) await this.#join(id, true);
    // One whose session waits for a place comes later.
    for (let n = 0; n < MOST_LOOKS && this.life.users.length < this.life.clients.length; n += 1)
      await this.#pass(LOOK_MS);
    const steps = this.#steps();
    for (let n = 0; n < STEPS; n += 1) {
      const client = dice.oneOf(this.life.users);
      if (client === undefined) await this.#join('a', false);
      else await dice.weighted(steps)?.take(client);
      await this.#pass(dice.below(STEP_MS));
    }
  }

  /** Nothing happens any more, and every question is answered: all has to come to its end, and new prompts go through. */
  async settles(): Promise<void> {
    const { life, server, world } = this;
    life.log('from here on nothing happens any more');
    server.turns.asks = 0;
    server.callsLeft = 0;
    for (const { homes } of this.#alive) homes.isUnavailable = false;
    await this.#pass(10_000);
    life.answerAll();
    await this.#pass(10_000);
    await world.clock.advance(700_000);
    for (const client of life.users) {
      life.prompt(client);
      await this.#pass(3000);
    }
    await world.clock.advance(60_000);
    await world.settle();
  }

  /** What is wrong. At the end of it all clients have left. */
  async problems(): Promise<string[]> {
    const { life, server, world } = this;
    const journal = (id: string) => server.disk.journal(id);
    const problems = problemsOfLife({
      clients: life.clients,
      calls: life.calls,
      journal,
      mayMiss: this.#mayBeUndecided,
      mayLoseEnds: true,
      // Its client has left, and with it what a home knows that follows another one.
      mayLose: ({ client }) => client.isGone,
    });
    for (const { name, end, isGone } of life.clients) {
      const calls = isGone ? 0 : (end.work?.calls ?? 0);
      if (calls > 0) problems.push(`${calls} calls of ${name} wait at the end`);
      if (!isGone) end.leave();
    }
    await world.clock.advance(700_000);
    await world.settle();
    for (const { id, relay } of this.#alive) {
      const { toPeers, fromPeers } = relay.counts;
      if (relay.sessions().length > 0) problems.push(`${id} keeps sessions without clients`);
      if (toPeers + fromPeers > 0) problems.push(`${id} keeps ${toPeers + fromPeers} clients that have left`);
    }
    return problems;
  }

  get #alive(): Replica[] {
    return [...this.world.replicas.values()].filter(({ isGone }) => !isGone);
  }

  get #home(): Replica | undefined {
    const { home } = this.world.directory;
    return home === undefined ? undefined : this.world.replica(home);
  }

  #steps(): readonly Step[] {
    const { life, server } = this;
    const dice = this.#dice;
    return [
      { weight: 50, take: (client) => life.prompt(client) },
      { weight: 5, take: (client) => life.call(client, 'session.mode.get') },
      { weight: 7, take: () => server.dies() },
      { weight: 8, take: () => this.#loseHome('killed') },
      { weight: 6, take: () => this.#loseHome('taken for dead') },
      { weight: 4, take: () => this.#breakStreams() },
      { weight: 8, take: () => this.#join(dice.oneOf(SESSIONS) ?? '', false) },
      { weight: 4, take: (client) => life.leave(client) },
      { weight: this.#mayBeUndecided ? 3 : 0, take: () => this.#undecide() },
    ];
  }

  async #join(sessionId: string, isFirst: boolean): Promise<void> {
    const replica = this.#dice.oneOf(this.#alive);
    if (replica === undefined) return;
    await this.life.join(replica.client(), { sessionId, at: replica.id, isFirst });
    await this.world.settle();
  }

  /** Its server may die while the next home takes over. Clients of a replica that is killed have lost their connections. */
  #loseHome(how: 'killed' | 'taken for dead'): void {
    const { life, server, world } = this;
    const home = this.#home;
    const next = this.#dice.oneOf(this.#alive.filter((each) => each !== home));
    if (home === undefined || next === undefined) return;
    life.log(`the home ${home.id} is ${how}, and ${next.id} follows`);
    server.goesOnUnseen();
    if (this.#dice.chance(0.5)) server.callsLeft = 1 + this.#dice.below(14);
    if (how === 'taken for dead') {
      world.directory.next = next.id;
      return home.homes.fence();
    }
    for (const client of life.clients) if (client.at === home.id) client.isGone = true;
    world.kill(home.id, next.id);
  }

  #breakStreams(): void {
    const home = this.#home;
    this.life.log(`the streams of the home ${home?.id} break`);
    for (const stream of home?.streams ?? []) stream.destroy();
  }

  /** Some replicas cannot find out who is the home. */
  #undecide(): void {
    for (const { id, homes } of this.#alive) {
      homes.isUnavailable = this.#dice.chance(0.5);
      this.life.log(`${id} ${homes.isUnavailable ? 'cannot' : 'can'} find out who is the home`);
    }
  }

  async #pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      await this.world.clock.advance(50);
      await this.world.settle();
      this.life.answer(0.6);
    }
  }
}

async function run(dice: Dice, seed: number): Promise<EndedLife> {
  const replicas = new ThreeReplicas(dice, seed);
  const { life } = replicas;
  await replicas.lives();
  await replicas.settles();
  return { life, problems: await replicas.problems() };
}

const LIVES = { file: 'test/unit/gateway/forward/random-homes.test.ts', sample: '1-30', run };

it('loses nothing, tells nothing twice, and keeps nothing', () => runLives(LIVES), deadlineOf(LIVES));

it('is the same life each time', async () => {
  const [first, second] = [await run(new Dice(1), 1), await run(new Dice(1), 1)];
  expect(String(second.life)).toBe(String(first.life));
});
