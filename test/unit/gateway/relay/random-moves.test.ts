// Lives of a gateway whose tenant has servers with one volume, that chance decides: servers that die, lose their pods, are cut off and drained, and a
// coordination store that is away. Never do two servers have one session, and nothing is lost.
import { expect, it } from '@jest/globals';
import { FakeClock } from '../../../support/fake-clock.ts';
import { GuardedServers } from '../../../support/guarded-servers.ts';
import { Life, type LifeClient } from '../../../support/life.ts';
import { problemsOfLife } from '../../../support/life-checks.ts';
import { deadlineOf, runLives, type EndedLife } from '../../../support/lives.ts';
import { ModelServer } from '../../../support/model-server.ts';
import { Dice } from '../../../support/random.ts';
import { RelayWorld, type ServerEnd } from '../../../support/relay-world.ts';
import { TENANT, hostOf } from '../../../support/static-fleet.ts';

const SESSIONS = ['a', 'b', 'c'];
const REPLICAS = 3;
const STEPS = 25;
const LOOK_MS = 50;
const MOST_LOOKS = 100;
/** Longest time between two steps, in ms. */
const STEP_MS = 500;
const RETRIED = new Set(['Fenced', 'CoordinationAway']);

class OneVolume {
  readonly clock = new FakeClock();
  readonly guards = new GuardedServers();
  readonly world: RelayWorld;
  readonly life: Life;
  readonly server: ModelServer;
  readonly #dice: Dice;
  /** The server that the next fault is of. */
  #hit = 0;
  #pods = REPLICAS;
  #drains = 0;

  constructor(dice: Dice) {
    const { clock, guards } = this;
    this.#dice = dice;
    this.world = new RelayWorld({ drainReturnMs: 60_000, awayMs: 3000 }, { clock, shared: guards.means });
    this.life = new Life(dice, clock);
    this.server = new ModelServer({ clock, dice, log: this.life.log, current: () => this.#endOf(this.#hit) });
    guards.serve(this.world, REPLICAS);
    this.server.play(this.world);
    guards.guard(this.world);
  }

  async lives(): Promise<void> {
    const dice = this.#dice;
    for (const id of SESSIONS) for (let n = 0; n < 2; n += 1) await this.#join(id, true);
    for (let n = 0; n < MOST_LOOKS && this.life.users.length < this.life.clients.length; n += 1)
      await this.#pass(LOOK_MS);
    for (let n = 0; n < STEPS; n += 1) {
      const client = dice.oneOf(this.life.users);
      this.#hit = dice.below(REPLICAS);
      if (client !== undefined) await dice.weighted(this.#steps())?.take(client);
      await this.#pass(dice.below(STEP_MS));
    }
  }

  /** Nothing happens any more: all has to come to its end, and new prompts go through. */
  async settles(): Promise<void> {
    const { life, world, guards, clock } = this;
    life.log('from here on nothing happens to servers any more');
    guards.isStoreAway = false;
    this.server.turns.asks = 0;
    for (this.#hit = 0; this.#hit < REPLICAS; this.#hit += 1) this.#isBack(this.#hit);
    world.down.clear();
    for (const ms of [5000, 20_000, 30_000]) {
      await this.#pass(ms);
      life.answerAll();
    }
    await clock.advance(700_000);
    for (const client of life.users) {
      life.prompt(client);
      await clock.advance(3000);
    }
    await clock.advance(60_000);
  }

  async problems(): Promise<string[]> {
    const { life, server, world, guards } = this;
    const problems = problemsOfLife({
      clients: life.clients,
      calls: life.calls,
      journal: (id) => server.disk.journal(id),
      mayRefuse: ({ client }, { data }) => {
        const { rule = '' } = (data ?? {}) as { rule?: string };
        return client.hasDetached || RETRIED.has(rule);
      },
    });
    problems.push(...guards.violations);
    for (const { id, state, clients } of world.relay.sessions()) {
      if (state !== 'Idle' && state !== 'Unloaded') problems.push(`the session ${id} is ${state} at the end`);
      if (clients.length === 0) problems.push(`the session ${id} is kept without clients`);
    }
    for (const { name, end, isGone } of life.clients) {
      const { calls = 0, waiting = 0 } = isGone ? {} : (end.work ?? {});
      if (calls + waiting > 0) problems.push(`${calls} calls and ${waiting} prompts of ${name} wait at the end`);
      if (!isGone) end.leave();
    }
    await this.clock.advance(700_000);
    const left = world.relay.sessions().map(({ id }) => id);
    if (left.length > 0) problems.push(`the sessions ${left.join()} are kept without clients`);
    return problems;
  }

  #steps(): readonly { readonly weight: number; readonly take: (client: LifeClient) => void | Promise<void> }[] {
    const { life, guards } = this;
    const dice = this.#dice;
    return [
      { weight: 40, take: (client) => life.prompt(client) },
      { weight: 7, take: (client) => life.call(client, 'session.mode.get') },
      { weight: 4, take: () => this.#dies() },
      { weight: 7, take: () => this.#isRemoved() },
      { weight: 4, take: () => this.#isCutOff() },
      { weight: 7, take: () => this.#isDrained() },
      { weight: 3, take: () => this.server.unloads() },
      { weight: 4, take: () => void (guards.isStoreAway = !guards.isStoreAway) },
      { weight: 6, take: () => this.#join(dice.oneOf(SESSIONS) ?? '', false) },
      { weight: 4, take: (client) => life.leave(client) },
      { weight: 5, take: (client) => life.detach(client) },
    ];
  }

  #join(sessionId: string, isFirst: boolean): Promise<void> {
    return this.life.join(this.world.client(TENANT), { sessionId, user: undefined, isFirst });
  }

  #endOf(index: number): ServerEnd | undefined {
    return this.world.dials.findLast(({ host }) => host === hostOf(index));
  }

  #podOf(index: number): string | undefined {
    return this.world.fleet.find(TENANT)?.servers.find(({ host }) => host === hostOf(index))?.podUID;
  }

  /** Its process ends, and starts again in the same pod. What others have told is on the disk. */
  #dies(): void {
    const pod = this.#podOf(this.#hit);
    for (const id of SESSIONS)
      if (pod === undefined || !this.guards.loadedAt(id).includes(pod)) this.server.disk.flush(id);
    this.server.dies();
    if (pod !== undefined) this.guards.died(pod);
  }

  /** Its pod is deleted, and another one comes a while later. */
  #isRemoved(): void {
    const index = this.#hit;
    const pod = this.#podOf(index);
    if (pod === undefined) return;
    this.life.log(`server ${index} loses its pod ${pod}`);
    this.#dies();
    const { servers = [], pods = [] } = this.world.fleet.find(TENANT) ?? {};
    this.world.fleet.change({
      servers: servers.filter(({ podUID }) => podUID !== pod),
      pods: pods.filter((each) => each !== pod),
    });
    this.clock.setTimer(this.#dice.below(4000), () => this.#isBack(index));
  }

  /** Nobody can connect to it for a while, and it goes on. */
  #isCutOff(): void {
    const end = this.#endOf(this.#hit);
    if (end === undefined || end.isClosed) return;
    this.life.log(`server ${this.#hit} is cut off`);
    const { host } = end;
    this.world.down.add(host);
    this.#dies();
    this.clock.setTimer(this.#dice.below(8000), () => void this.world.down.delete(host));
  }

  /** It is scaled down, and up again a while later. */
  #isDrained(): void {
    const index = this.#hit;
    const podUID = this.#podOf(index);
    const { drains = [] } = this.world.fleet.find(TENANT) ?? {};
    // One is to stay: a tenant all of whose servers are drained for good is one that is stopped, and clients are told so.
    if (podUID === undefined || drains.length === REPLICAS - 1 || drains.some((drain) => drain.podUID === podUID))
      return;
    this.life.log(`server ${index} is drained for good`);
    this.#drains += 1;
    const drain = { server: `team/acme-${index}`, epoch: this.#drains, podUID, timeoutMs: 1500, comesBack: false };
    this.world.fleet.change({ drains: [...drains, drain] });
    this.clock.setTimer(2000 + this.#dice.below(3000), () => {
      this.#hit = index;
      this.#isRemoved();
    });
  }

  #isBack(index: number): void {
    if (this.#podOf(index) !== undefined) return;
    const podUID = `pod-${(this.#pods += 1)}`;
    this.life.log(`server ${index} is back as ${podUID}`);
    const { servers = [], pods = [], drains = [] } = this.world.fleet.find(TENANT) ?? {};
    const [{ token, tokenRefused } = { token: async () => '', tokenRefused: () => undefined }] = servers;
    const key = `team/acme-${index}`;
    const left = drains.filter(({ server }) => server !== key);
    this.world.fleet.change({
      servers: [...servers, { key, podUID, host: hostOf(index), port: 4321, token, tokenRefused }],
      pods: [...pods, podUID],
      drains: left.length > 0 ? left : undefined,
    });
  }

  /** Time passes, and clients answer what they are asked. */
  async #pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      await this.clock.advance(50);
      this.life.answer(0.8, (answer) => void this.clock.setTimer(300, answer));
    }
  }
}

async function run(dice: Dice): Promise<EndedLife> {
  const volume = new OneVolume(dice);
  await volume.lives();
  await volume.settles();
  return { life: volume.life, problems: await volume.problems() };
}

const LIVES = { file: 'test/unit/gateway/relay/random-moves.test.ts', sample: '1-60', run };

it('loses nothing, and has no session at two servers', () => runLives(LIVES), deadlineOf(LIVES));

it('is the same life each time', async () => {
  const [first, second] = [await run(new Dice(1)), await run(new Dice(1))];
  expect(String(second.life)).toBe(String(first.life));
});
