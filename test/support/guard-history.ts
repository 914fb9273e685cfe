// One random history: gateways that want a session at several servers, while processes are killed and paused, connections are cut and the
// store is away or loses its data. And what must be true of its journal.
import { MemoryStore } from '../../src/gateway/locks/memory-store.ts';
import { CoordinationUnavailableError, type CoordinationStore } from '../../src/gateway/locks/store.ts';
import { ScriptedGateway } from './guard-gateway.ts';
import { GuardedPod, MemoryFiles, type GuardMutant } from './guard-world.ts';
import type { Entry } from './journalling-cli.ts';
import { Dice } from './random.ts';
import { Turns } from './turns.ts';

/** What came of a history. */
export interface GuardHistory {
  readonly wrong: readonly string[];
  readonly journal: readonly Entry[];
  readonly acknowledged: number;
}

/** Steps in which faults come. Then what was begun comes to its end. */
const STEPS = 400;
const SESSION = 'session';

class Run {
  readonly dice: Dice;
  readonly turns: Turns;
  readonly journals = new Map<string, Entry[]>();
  readonly pods: GuardedPod[] = [];
  readonly #files: MemoryFiles;
  readonly #mutant: GuardMutant;
  #memory = new MemoryStore();
  #isAway = false;
  #started = 0;

  constructor(seed: number, mutant: GuardMutant) {
    this.dice = new Dice(seed);
    this.turns = new Turns(this.dice);
    this.#files = new MemoryFiles(() => this.turns.take('volume'));
    this.#mutant = mutant;
    for (let index = 0; index < 3; index += 1) this.#addPod();
  }

  #addPod(): void {
    this.#started += 1;
    this.pods.push(new GuardedPod(this.turns, this.journals, this.#files, `pod-${this.#started}`, this.#mutant));
  }

  get alive(): readonly GuardedPod[] {
    return this.pods.filter(({ isGone }) => !isGone);
  }

  /** As a gateway has it: each answer takes its time. */
  storeOf(gateway: string): CoordinationStore {
    const take = async <T>(run: () => Promise<T>): Promise<T> => {
      await this.turns.take(gateway);
      if (this.#isAway) throw new CoordinationUnavailableError('Unreachable', 'it is away');
      const result = await run();
      await this.turns.take(gateway);
      return result;
    };
    const store = this.#memory;
    const own: Pick<CoordinationStore, 'read' | 'advance' | 'settle'> = {
      read: (key) => take(() => this.#memory.read(key)),
      advance: (key, advance) => take(() => this.#memory.advance(key, advance)),
      settle: (key, seen) => take(() => this.#memory.settle(key, seen)),
    };
    return Object.assign(Object.create(store) as CoordinationStore, own);
  }

  fault(): void {
    const pod = this.dice.oneOf(this.alive);
    const faults = [
      { weight: 4, go: () => pod?.killGuard() },
      { weight: 3, go: () => pod?.killServer() },
      { weight: 4, go: () => pod?.cut() },
      { weight: 5, go: () => pod && this.turns.hold(pod.pod, 10 + this.dice.below(60)) },
      { weight: 5, go: () => this.turns.hold(`gateway-${this.dice.below(2)}`, 10 + this.dice.below(60)) },
      { weight: 2, go: () => this.turns.hold('volume', 5 + this.dice.below(20)) },
      { weight: 2, go: () => (this.#isAway = !this.#isAway) },
      { weight: 2, go: () => (this.#memory = new MemoryStore()) },
      { weight: 2, go: () => this.#replace(pod) },
    ];
    this.dice.weighted(faults)?.go();
  }

  #replace(pod: GuardedPod | undefined): void {
    pod?.kill();
    this.#addPod();
  }

  heal(): void {
    this.#isAway = false;
  }
}

/** The same for the same seed. */
export async function guardHistory(seed: number, mutant: GuardMutant = {}): Promise<GuardHistory> {
  const run = new Run(seed, mutant);
  const { dice, turns } = run;
  const gateways = [0, 1].map((index) => {
    const name = `gateway-${index}`;
    const store = run.storeOf(name);
    return new ScriptedGateway(
      name,
      () => store,
      () => run.pods,
      mutant,
    );
  });
  const busy = new Set<ScriptedGateway>();
  const serve = (gateway: ScriptedGateway): void => {
    const to = dice.oneOf(run.alive);
    if (to === undefined || busy.has(gateway)) return;
    busy.add(gateway);
    void gateway.serve(to, 1 + dice.below(3)).finally(() => busy.delete(gateway));
  };
  for (let step = 0; step < STEPS; step += 1) {
    for (const gateway of gateways) if (dice.chance(0.2)) serve(gateway);
    if (dice.chance(0.03)) run.fault();
    await turns.step();
  }
  run.heal();
  while (await turns.step());
  // Whatever has happened, the session can be used again.
  const last = gateways[0] as ScriptedGateway;
  const before = last.acknowledged.length;
  busy.clear();
  // What was cut is noticed by the first calls.
  for (let times = 0; times < 5 && last.acknowledged.length === before; times += 1) {
    serve(last);
    while (await turns.step());
  }
  const journal = run.journals.get(SESSION) ?? [];
  const acknowledged = gateways.flatMap((gateway) => gateway.acknowledged);
  const stuck = last.acknowledged.length > before ? [] : ['in the end nobody can use the session'];
  return { wrong: [...wrongIn(journal, acknowledged), ...stuck], journal, acknowledged: acknowledged.length };
}

function wrongIn(journal: readonly Entry[], acknowledged: readonly string[]): string[] {
  const wrong: string[] = [];
  for (const [at, { id, parent, server, epoch }] of journal.entries()) {
    const before = journal[at - 1];
    if (parent !== before?.id)
      wrong.push(`${id} follows ${parent ?? 'nothing'}, and not ${before?.id ?? 'nothing'}: a fork`);
    if (before === undefined) continue;
    if (epoch < before.epoch) wrong.push(`${id} has epoch ${epoch}, after ${before.epoch}`);
    if (epoch === before.epoch && podOf(server) !== podOf(before.server))
      wrong.push(`${server} and ${before.server} have both written under epoch ${epoch}`);
  }
  const prompts = new Set(journal.map(({ prompt }) => prompt));
  for (const prompt of acknowledged)
    if (!prompts.has(prompt)) wrong.push(`${prompt} was acknowledged, and is not there`);
  return wrong;
}

const podOf = (server: string): string => server.split('.')[0] ?? '';
