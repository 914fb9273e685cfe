/**
 * A small model of some replicas, the API server and the network between them, in steps of five seconds, and the search through all
 * interleavings of what may happen in it. The replicas run the real protocol (src/gateway/peers/core.ts).
 */
import { Core } from '../../../../src/gateway/peers/core.ts';
import { isReply, type MemberInfo, type Message } from '../../../../src/gateway/peers/messages.ts';
import { initialState, type Effect, type SeenLease, type State } from '../../../../src/gateway/peers/state.ts';

export const TENANT = 'team/acme';
// Globals are slow to read in the context of a test, and these are read millions of times.
const { min, ceil } = Math;
const { stringify } = JSON;
const { entries, fromEntries, keys: keysOf } = Object;

const STEP_MS = 5_000;
/** Times that are longer ago are all the same. */
const OLD_STEPS = 4;

interface Process {
  readonly name: string;
  status: 'Running' | 'Paused' | 'Ended';
  isCutOff: boolean;
  state: State;
  /** The resourceVersion of each Lease as its watch last told. */
  view: Record<string, number>;
}

interface Envelope {
  readonly from: MemberInfo;
  readonly to: string;
  readonly message: Message;
  /** The same for equal envelopes. */
  readonly key: string;
}

/** A request of a replica that the API server has not executed yet. */
interface Deletion {
  readonly by: string;
  readonly id: string;
  readonly lease: string;
  readonly version: number | undefined;
}

/** Everything: plain data, so that it can be copied. */
export interface World {
  now: number;
  processes: Process[];
  leases: Record<string, { id: string; address: string; version: number }>;
  version: number;
  mail: Envelope[];
  deletions: Deletion[];
  /** Pairs of names whose network is cut, as `a b` in order. */
  cut: string[];
  started: number;
  left: Budget;
}

/** How often each thing may happen. */
export interface Budget {
  steps: number;
  routes?: number;
  starts?: number;
  crashes?: number;
  pauses?: number;
  outages?: number;
  cuts?: number;
  releases?: number;
  /** Steps in which heartbeats are answered, and the answers arrive later. */
  delays?: number;
}

/** What a mutant does otherwise than the protocol. */
export interface Mutant {
  /** Changes what the replica knows after each of its steps. */
  readonly after?: (state: State, now: number) => void;
  /** Deletes Leases whatever has become of them. */
  readonly ignoresVersions?: boolean;
  /** What the replica is told when it asks whether it may act. */
  readonly mayAct?: (state: State, now: number) => boolean;
  readonly received?: (core: Core, envelope: Envelope, honest: () => Effect[]) => Effect[];
}

interface Action {
  readonly name: string;
  readonly run: (world: World) => void;
}

/** What a search has found. */
export interface Found {
  readonly states: number;
  /** The actions that lead to two homes. */
  readonly violation: string[] | undefined;
  /** How often each process became the home in some interleaving. */
  readonly homes: ReadonlySet<string>;
}

/** A world in which these replicas have started and know each other, and the first one is the home if `hasHome`. */
export function settled(names: readonly string[], left: Budget, hasHome: boolean, mutant: Mutant = {}): World {
  const world: World = {
    now: 0,
    processes: [],
    leases: {},
    version: 0,
    mail: [],
    deletions: [],
    cut: [],
    started: 0,
    left,
  };
  const run = new Run(mutant);
  for (const name of names) run.start(world, name);
  for (let round = 0; round < 2; round++) for (const { name } of world.processes) run.sync(world, name);
  world.left = { ...left, steps: left.steps + 1 };
  run.advance(world);
  if (hasHome) run.claim(world, names[0] ?? '');
  return world;
}

/** How the search is bounded. */
export interface ExploreOptions {
  /** Whether messages of searches that were begun again are still delivered, and not lost. Default false. */
  readonly keepsStale?: boolean;
  readonly maxStates?: number;
}

/** Looks at every state that can be reached, the shortest ways first. */
export function explore(
  start: World,
  mutant: Mutant = {},
  { keepsStale = false, maxStates = 300_000 }: ExploreOptions = {},
): Found {
  const run = new Run(mutant);
  const seen = new Set([keyOf(start)]);
  const homes = new Set<string>();
  let frontier: { world: World; trace: string[] }[] = [{ world: start, trace: [] }];
  while (frontier.length > 0) {
    const next: typeof frontier = [];
    for (const { world, trace } of frontier) {
      for (const { name, run: act } of run.actions(world)) {
        const after = copyOf(world);
        act(after);
        if (!keepsStale)
          after.mail = after.mail.filter(({ message, from, to }) => isCurrent(after, message, from.id, to));
        const holders = homesIn(after, mutant);
        for (const holder of holders) homes.add(holder);
        if (holders.length > 1) return { states: seen.size, violation: [...trace, name], homes };
        const key = keyOf(after);
        if (seen.has(key)) continue;
        seen.add(key);
        if (seen.size > maxStates) throw new Error(`more than ${maxStates} states: the budget is too large`);
        next.push({ world: after, trace: [...trace, name] });
      }
    }
    frontier = next;
  }
  return { states: seen.size, violation: undefined, homes };
}

/** Names of the processes that are the home and would act now; a paused one acts as soon as it wakes. */
function homesIn({ processes, now }: World, { mayAct = honest }: Mutant): string[] {
  return processes
    .filter(({ status, state }) => status !== 'Ended' && state.held.has(TENANT) && mayAct(state, now))
    .map(({ state }) => state.self.id);
}

function honest(state: State, now: number): boolean {
  return new Core(state).mayAct(now);
}

class Run {
  readonly #mutant: Mutant;

  constructor(mutant: Mutant) {
    this.#mutant = mutant;
  }

  /** What may happen next. */
  actions(world: World): Action[] {
    const { left, processes, mail, deletions } = world;
    const found: Action[] = [];
    const add = (name: string, run: Action['run']): void => void found.push({ name, run });
    const spend = (what: keyof Budget, name: string, run: Action['run']): void => {
      if ((left[what] ?? 0) > 0) {
        add(name, (after) => {
          after.left = { ...after.left, [what]: (after.left[what] ?? 0) - 1 };
          run(after);
        });
      }
    };
    if (left.steps > 0) add('five seconds pass', (after) => this.advance(after));
    if (left.steps > 0) {
      spend('delays', 'five seconds pass, answers to heartbeats are late', (after) => this.advance(after, true));
    }
    for (const { to, from, message, key } of mail) {
      if (processes.find(({ state }) => state.self.id === to)?.status !== 'Running') continue;
      const what = 'answer' in message ? message.answer : message.type;
      add(`${to} gets ${what} of ${from.id}`, (after) => this.#deliver(after, key));
    }
    for (const { by, id } of deletions)
      add(`the Lease of ${id} is deleted by ${by}`, (after) => this.#delete(after, by, id));
    for (const { name, status, state, isCutOff, view } of processes) {
      const { id } = state.self;
      if (status === 'Paused') add(`${id} wakes`, (after) => void (processOf(after, name).status = 'Running'));
      if (status === 'Running') {
        if (!isCutOff && isBehind(world, state, view)) add(`${id} sees Leases`, (after) => this.sync(after, name));
        if (!state.held.has(TENANT) && !state.searches.has(TENANT)) {
          spend('routes', `${id} claims`, (after) => this.#route(after, name));
        }
        if (state.held.has(TENANT)) {
          spend('releases', `${id} releases`, (after) => {
            this.#step(after, name, (core) => core.release(TENANT, after.now));
          });
        }
        spend('pauses', `${id} is paused`, (after) => void (processOf(after, name).status = 'Paused'));
      }
      if (status === 'Running') {
        if (isCutOff) add(`${id} reaches the API server again`, (after) => this.#reconnect(after, name));
        else if (knowsAll(world, state)) {
          spend('outages', `${id} is cut off from the API server`, (after) => {
            processOf(after, name).isCutOff = true;
          });
        }
      }
      if (status !== 'Ended') {
        spend('crashes', `${id} is killed`, (after) => void (processOf(after, name).status = 'Ended'));
      } else if (mayStart(world)) spend('starts', `${name} starts again`, (after) => this.start(after, name));
      for (const other of processes) {
        if (name >= other.name || status === 'Ended' || other.status === 'Ended') continue;
        const pair = `${name} ${other.name}`;
        if (world.cut.includes(pair)) {
          add(
            `${pair} reach each other again`,
            (after) => void (after.cut = after.cut.filter((each) => each !== pair)),
          );
        } else spend('cuts', `${pair} are cut off from each other`, (after) => void after.cut.push(pair));
      }
    }
    if (processes.length < 3 && mayStart(world)) {
      spend('starts', 'a further replica starts', (after) => this.start(after, 'abc'[after.processes.length] ?? ''));
    }
    return found;
  }

  /** Five seconds pass: what runs renews its Lease and sends heartbeats, which are answered at once or lost. */
  advance(world: World, isLate = false): void {
    world.now += STEP_MS;
    world.left = { ...world.left, steps: world.left.steps - 1 };
    const online = world.processes.filter(({ status, isCutOff }) => status === 'Running' && !isCutOff);
    for (const { name, state } of online) {
      const lease = world.leases[name];
      if (lease?.id !== state.self.id) continue;
      world.version += 1;
      lease.version = world.version;
      this.#step(world, name, (core) => core.renewed(world.now, world.now));
    }
    for (const { name, status } of world.processes) {
      if (status === 'Running') this.#step(world, name, (core) => core.tick(world.now), isLate);
    }
    // The watch is always a little late.
    for (const { name } of online) this.sync(world, name);
  }

  /** The watch of the process tells all that has happened, in its order. */
  sync(world: World, name: string): void {
    const process = processOf(world, name);
    process.view = fromEntries(entries(world.leases).map(([lease, { version }]) => [lease, version]));
    const seen = entries(world.leases).map(([lease, { id, address, version }]): SeenLease => {
      const sign = String(version);
      return { id, lease, address, isDraining: false, sign, uid: lease, resourceVersion: sign };
    });
    this.#step(world, name, (core) => core.leases(seen, world.now));
  }

  /** A new process, which takes over the Lease of the one before. */
  start(world: World, name: string): void {
    const info = this.#newInfo(world, name);
    const process = {
      name,
      status: 'Running',
      isCutOff: false,
      state: initialState(info, world.now),
      view: {},
    } as const;
    world.processes = [...world.processes.filter((other) => other.name !== name), { ...process }].toSorted((a, b) =>
      a.name < b.name ? -1 : 1,
    );
    this.#join(world, name);
  }

  #newInfo(world: World, name: string): MemberInfo {
    world.started += 1;
    return { id: `${name}${world.started}`, lease: name, address: name };
  }

  #join(world: World, name: string): void {
    const { id } = processOf(world, name).state.self;
    world.version += 1;
    world.leases[name] = { id, address: name, version: world.version };
    this.#step(world, name, (core) => core.renewed(world.now, world.now));
  }

  #reconnect(world: World, name: string): void {
    processOf(world, name).isCutOff = false;
  }

  /** The process becomes the home, with nothing in between. */
  claim(world: World, name: string): void {
    this.#route(world, name);
    for (let next = world.mail[0]; next !== undefined; [next] = world.mail) this.#deliver(world, next.key);
  }

  #route(world: World, name: string): void {
    this.#step(world, name, (core) => core.search(TENANT, true, world.now));
  }

  #deliver(world: World, key: string): void {
    const index = world.mail.findIndex((each) => each.key === key);
    const [envelope] = world.mail.splice(index, 1);
    if (envelope !== undefined) this.#receive(world, envelope);
  }

  #receive(world: World, envelope: Envelope, isLate = false): void {
    const target = world.processes.find(({ state }) => state.self.id === envelope.to);
    if (target === undefined) return;
    const receive = (core: Core): Effect[] => {
      const honest = (): Effect[] => core.received(envelope.from, envelope.message, world.now);
      return this.#mutant.received?.(core, envelope, honest) ?? honest();
    };
    this.#step(world, target.name, receive, isLate);
  }

  #delete(world: World, by: string, id: string): void {
    const index = world.deletions.findIndex((each) => each.by === by && each.id === id);
    const [deletion] = world.deletions.splice(index, 1);
    if (deletion === undefined) return;
    const { lease, version } = deletion;
    const found = world.leases[lease];
    const isSame = this.#mutant.ignoresVersions === true || found?.version === version;
    const result =
      found === undefined || found.id !== id ? 'Missing' : version === undefined || !isSame ? 'Changed' : 'Deleted';
    if (result === 'Deleted') delete world.leases[lease];
    const process = processOf(world, by);
    if (process.status === 'Ended') return;
    const answer = process.isCutOff ? 'Failed' : result;
    this.#step(world, by, (core) => core.expired(id, answer, world.now));
  }

  #step(world: World, name: string, step: (core: Core) => Effect[], isLate = false): void {
    const process = processOf(world, name);
    const from = process.state.self;
    const effects = step(new Core(process.state));
    this.#mutant.after?.(process.state, world.now);
    for (const effect of effects) this.#do(world, process, from, effect, isLate);
  }

  #do(world: World, process: Process, from: MemberInfo, effect: Effect, isLate: boolean): void {
    switch (effect.kind) {
      case 'Send':
        return this.#send(world, envelopeOf(from, effect.to, effect.message), isLate);
      case 'Expire': {
        const { member, seen } = effect;
        if (process.isCutOff) {
          this.#step(world, process.name, (core) => core.expired(member.id, 'Failed', world.now));
          return;
        }
        const version = seen && Number(seen.resourceVersion);
        world.deletions.push({ by: process.name, id: member.id, lease: member.lease, version });
        return;
      }
      case 'Lost':
        if (process.state.self.id !== from.id) return;
        new Core(process.state).reborn(this.#newInfo(world, process.name), world.now);
        if (!process.isCutOff) this.#join(world, process.name);
        return;
      case 'Decided':
      case 'Fenced':
      case 'Gone':
    }
  }

  /** Heartbeats and their answers arrive at once or never, unless they are to be late; everything else when it is its turn. */
  #send(world: World, envelope: Envelope, isLate: boolean): void {
    const { from, to, message } = envelope;
    const target = world.processes.find(({ state }) => state.self.id === to);
    // What is under way when the network is cut may still arrive.
    if (target === undefined || isCut(world, target.name, from.lease)) return;
    const isBeat = message.type === 'Heartbeat' || message.type === 'Alive' || message.type === 'Dead';
    if (!isBeat || (isLate && isReply(message))) {
      if (!world.mail.some(({ key }) => key === envelope.key)) world.mail.push(envelope);
    } else if (target.status === 'Running') this.#receive(world, envelope, isLate);
  }
}

function processOf(world: World, name: string): Process {
  const found = world.processes.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no process ${name}`);
  return found;
}

function isCut({ cut }: World, a: string, b: string): boolean {
  return cut.includes(`${a} ${b}`) || cut.includes(`${b} ${a}`);
}

/** Whether a Lease has come, gone or got another holder that the watch has not told yet. Renewals are told with the next step. */
function isBehind({ leases }: World, { self, members, isJoined }: State, view: Process['view']): boolean {
  const known = new Set([...members.values()].flatMap(({ seen }) => (seen === undefined ? [] : [seen.id])));
  if (isJoined) known.add(self.id);
  return (
    keysOf(view).some((name) => leases[name] === undefined) ||
    entries(leases).some(([name, { id, version }]) => version !== view[name] && !known.has(id))
  );
}

/** Whoever is cut off must know who there is: ADR 0037 says why, and what happens otherwise. */
function knowsAll({ processes }: World, state: State): boolean {
  return processes.every(
    ({ status, state: other }) =>
      status === 'Ended' || other.self.id === state.self.id || state.members.has(other.self.id),
  );
}

function mayStart({ processes, cut }: World): boolean {
  return cut.length === 0 && processes.every(({ isCutOff }) => !isCutOff);
}

function envelopeOf(from: MemberInfo, to: string, message: Message): Envelope {
  return { from, to, message, key: stringify([from.id, to, message]) };
}

/** What is changed in place is copied; messages and the like never are. */
function copyOf(world: World): World {
  return {
    ...world,
    processes: world.processes.map((process) => ({ ...process, state: copyOfState(process.state) })),
    leases: fromEntries(entries(world.leases).map(([name, lease]) => [name, { ...lease }])),
    mail: [...world.mail],
    deletions: [...world.deletions],
    cut: [...world.cut],
  };
}

function copyOfState(state: State): State {
  return {
    ...state,
    members: new Map([...state.members].map(([id, member]) => [id, { ...member }])),
    dead: new Map(state.dead),
    held: new Set(state.held),
    searches: new Map(
      [...state.searches].map(([tenant, { asked, answers, ...search }]) => [
        tenant,
        { ...search, asked: new Set(asked), answers: new Map(answers) },
      ]),
    ),
    learned: new Map(state.learned),
  };
}

/** What two worlds have in common if nothing that can happen tells them apart. */
function keyOf(world: World): string {
  const { now, processes, leases, mail, deletions, cut, left } = world;
  const ago = (at: number): number => min(OLD_STEPS, ceil((now - at) / STEP_MS));
  const current = (name: string, version: number | undefined): boolean => leases[name]?.version === version;
  const ids = new Map(processes.map(({ name, state }) => [state.self.id, name]));
  const short = (id: string): string => ids.get(id) ?? '-';
  return stringify([
    processes.map(({ name, status, isCutOff, state, view }) => [
      status,
      isCutOff,
      current(name, view[name]),
      entries(view).map(([lease, version]) => [lease, current(lease, version)]),
      state.isJoined,
      state.isActing,
      ago(state.renewedAt),
      ago(state.tickedAt),
      [...state.members.values()]
        .map((member) => [
          short(member.id),
          current(member.lease, member.seen && Number(member.seen.resourceVersion)),
          member.seen === undefined,
          member.isAbsent,
          ago(member.quietSince),
          ago(member.promisedAt),
          ago(member.ackedAt),
          ago(member.learnedAt),
          member.isExpiring,
          member.isCondemned,
        ])
        .map((each) => stringify(each))
        .toSorted(),
      [...state.dead.keys()].map(short).toSorted(),
      state.held.has(TENANT),
      [...state.searches.values()].map(({ intent, asked, answers }) => [
        intent,
        [...asked].map(short).toSorted(),
        [...answers].map(([id, { answer, alive }]) => stringify([short(id), answer, alive.map(short)])).toSorted(),
      ]),
    ]),
    entries(leases).map(([name, { id }]) => [name, short(id)]),
    mail
      .map(({ from, to, message }) => [
        short(from.id),
        short(to),
        message.type,
        'at' in message ? ago(message.at) : 0,
        isCurrent(world, message, from.id, to),
        'answer' in message ? message.answer : '',
        'gossip' in message ? message.gossip.members.map(({ id }) => short(id)) : '',
      ])
      .map((each) => stringify(each))
      .toSorted(),
    deletions.map(({ by, id, lease, version }) => [by, short(id), current(lease, version), version === undefined]),
    cut,
    left,
  ]);
}

/** Whether the message belongs to the search that its asker has now. */
function isCurrent(world: World, message: Message, from: string, to: string): boolean {
  if (!('nonce' in message)) return true;
  const asker = message.type === 'Ask' ? from : to;
  const found = world.processes.find(({ state }) => state.self.id === asker);
  return found?.state.searches.get(TENANT)?.nonce === message.nonce;
}
