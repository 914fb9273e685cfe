/**
 * A small model of one session: its record in the store, its stamps, three guards with their servers and two gateways that move it; and the
 * search through all interleavings of what may happen. The guards decide with the real rules (src/guard/fence.ts).
 */
import { decideLeft } from '../../../src/gateway/relay/fence/decide-left.ts';
import { decideCall, decideGrant, type Fence, type HeldGrant, type Stamp } from '../../../src/guard/fence.ts';
import type { SessionGrant } from '../../../src/resources/session-grant.ts';

// Globals are slow to read in the context of a test, and these are read millions of times.
const { parse, stringify } = JSON;
const { max } = Math;

interface Guard {
  fence?: Fence;
  /** The epoch under which its server has the session loaded. */
  loaded?: number;
  isUp: boolean;
  /** Nobody reaches it any more who is not there already, and nobody knows whether it runs: it does. */
  isCut?: boolean;
  /** The gateway whose grant is under way. */
  busy?: number;
}

/** A server, and the last epoch under which the session was to be there. */
interface Left {
  readonly at: number;
  readonly epoch: number;
}

/** As in the coordination store. */
interface StoredRecord {
  readonly epoch: number;
  readonly at: number;
  readonly leaving: readonly Left[];
}

type Step =
  'Idle' | 'Advance' | 'Leave' | 'Close' | 'Closed' | 'Grant' | 'Claim' | 'Decide' | 'Load' | 'Settle' | 'Serving';

interface Gateway {
  step: Step;
  /** Where the session is to be. */
  to: number;
  seen?: StoredRecord | undefined;
  floor: number;
  epoch: number;
  leaving: Left[];
  gone: string[];
  /** What its connection to each guard was granted. */
  held: (HeldGrant | null)[];
}

export interface World {
  record?: StoredRecord | undefined;
  stamps: Stamp[];
  guards: Guard[];
  gateways: Gateway[];
  /** What was appended to the journal: by which server, under which epoch. */
  log: (readonly [server: number, epoch: number])[];
  left: Budget;
}

/** How often each thing may happen. */
export interface Budget {
  readonly moves: number;
  /** Times that a gateway reads the record again, because its epoch was late. */
  readonly retries: number;
  readonly writes: number;
  readonly losses: number;
  readonly deaths: number;
  readonly restarts: number;
  /** Servers that are cut off. */
  readonly cuts: number;
  /** Times that the volume loses its epochs. */
  readonly erasures: number;
}

/** What goes otherwise than it should. */
export interface Mutant {
  /** The guard passes whatever comes. */
  readonly checksNothing?: boolean;
  /** Who moves a session says of a living pod that it is gone, as one does that trusts in the time of a lease. */
  readonly movesWithoutClose?: boolean;
  /** The guard remembers nothing behind its container. */
  readonly forgetsFences?: boolean;
  /** Nothing is stamped on the shared volume. */
  readonly hasNoStamps?: boolean;
  /** The store writes without a look at what was seen. */
  readonly writesBlindly?: boolean;
  /** Who cannot ask a server to close takes it for closed when the volume does not name it. */
  readonly trustsSilence?: boolean;
}

interface Action {
  readonly name: string;
  readonly run: (world: World) => void;
}

const podOf = (server: number): string => `pod-${server}`;
const serverOf = (pod: string): number => Number(pod.slice(4));

function grantOf(gateway: Gateway, server: number, intent: SessionGrant['intent'], mutant: Mutant): SessionGrant {
  const gone = mutant.movesWithoutClose === true ? [0, 1, 2].map(podOf) : gateway.gone;
  const { epoch } = gateway;
  return { tenant: 't', server: 's', pod: podOf(server), session: 'x', epoch, intent, gone, issuedAt: '' };
}

function decide(world: World, gateway: Gateway, server: number, intent: SessionGrant['intent'], mutant: Mutant) {
  const { fence } = world.guards[server] as Guard;
  const stamps = mutant.hasNoStamps === true ? [] : world.stamps.toSorted((a, b) => b.epoch - a.epoch);
  const grant = grantOf(gateway, server, intent, mutant);
  if (mutant.checksNothing !== true) return decideGrant(grant, podOf(server), { fence, stamps });
  const claim = !stamps.some((stamp) => stamp.epoch === grant.epoch);
  return {
    outcome: 'Granted',
    fence: { epoch: grant.epoch, state: intent === 'close' ? 'Closed' : 'Open' },
    claim,
  } as const;
}

/** A refused gateway closes where it has to, or reads the record again. */
function refused(
  world: World,
  gateway: Gateway,
  verdict: { readonly reason: string; readonly epoch: number; readonly holder?: { readonly pod: string } | undefined },
): void {
  const holder = verdict.reason === 'NotClosed' ? verdict.holder : undefined;
  if (holder !== undefined && world.left.retries > 0) {
    world.left = { ...world.left, retries: world.left.retries - 1 };
    gateway.leaving = [{ at: serverOf(holder.pod), epoch: verdict.epoch }];
    gateway.step = 'Leave';
  } else again(world, gateway, verdict.epoch);
}

function again(world: World, gateway: Gateway, floor: number): void {
  gateway.floor = max(gateway.floor, floor);
  gateway.step = world.left.retries > 0 ? 'Advance' : 'Idle';
  world.left = { ...world.left, retries: max(0, world.left.retries - 1) };
  gateway.seen = world.record;
}

function advance(world: World, gateway: Gateway, mutant: Mutant): void {
  const { record } = world;
  const { seen, floor, to } = gateway;
  if (mutant.writesBlindly !== true && stringify(record) !== stringify(seen)) return again(world, gateway, 0);
  const all = seen === undefined ? [] : [{ at: seen.at, epoch: seen.epoch }, ...seen.leaving];
  const leaving = all.filter(({ at }, index) => at !== to && all.findIndex((each) => each.at === at) === index);
  gateway.epoch = max(seen?.epoch ?? 0, floor) + 1;
  world.record = { epoch: gateway.epoch, at: to, leaving };
  gateway.leaving = mutant.movesWithoutClose === true ? [] : [...leaving];
  gateway.step = 'Leave';
}

/** The next place to leave; when there is none, the session is loaded. */
function leave(world: World, gateway: Gateway, mutant: Mutant): void {
  const [first] = gateway.leaving;
  if (first === undefined) return void (gateway.step = 'Grant');
  const { isUp, isCut } = world.guards[first.at] as Guard;
  if (isUp && isCut !== true) return void (gateway.step = 'Close');
  if (isUp && !hasLeft(world, first, mutant)) return void (gateway.step = 'Idle');
  if (!isUp) gateway.gone = [...gateway.gone, podOf(first.at)];
  gateway.leaving = gateway.leaving.slice(1);
}

/** What the guard where it is to be loaded reads of the volume. */
function hasLeft({ stamps }: World, { at, epoch }: Left, { trustsSilence }: Mutant): boolean {
  const place = { server: 's', podUID: podOf(at), epoch };
  const { reason } = decideLeft(
    place,
    stamps.map(({ holder, ...stamp }) => ({ ...holder, ...stamp })),
  );
  return reason === 'Closed' || reason === 'Replaced' || (trustsSilence === true && reason === 'Unproven');
}

function grantClose(world: World, gateway: Gateway, mutant: Mutant): void {
  const server = (gateway.leaving[0] as Left).at;
  const verdict = decide(world, gateway, server, 'close', mutant);
  if (verdict.outcome === 'Refused') return refused(world, gateway, verdict);
  (world.guards[server] as Guard).fence = verdict.fence;
  gateway.held[server] = { epoch: gateway.epoch, intent: 'close' };
  gateway.step = 'Closed';
}

/** The call itself, and what is stamped before it is answered. */
function close(world: World, gateway: Gateway, mutant: Mutant): void {
  const server = (gateway.leaving[0] as Left).at;
  if (!mayCall(world, gateway, server, 'Close', mutant)) return again(world, gateway, 0);
  delete (world.guards[server] as Guard).loaded;
  const under = gateway.epoch;
  world.stamps = world.stamps.map((stamp) =>
    stamp.holder.pod === podOf(server) && stamp.epoch <= under && (stamp.closedUnder ?? 0) < under
      ? { ...stamp, closedUnder: under }
      : stamp,
  );
  gateway.leaving = gateway.leaving.slice(1);
  gateway.step = 'Leave';
}

function mayCall(
  world: World,
  gateway: Gateway,
  server: number,
  kind: 'Load' | 'Close' | 'Other',
  mutant: Mutant,
): boolean {
  if (mutant.checksNothing === true) return true;
  return decideCall(kind, gateway.held[server] ?? undefined, world.guards[server]?.fence) === undefined;
}

function grantLoad(world: World, gateway: Gateway, index: number, mutant: Mutant): void {
  const verdict = decide(world, gateway, gateway.to, 'load', mutant);
  if (verdict.outcome === 'Refused') return refused(world, gateway, verdict);
  (world.guards[gateway.to] as Guard).busy = index;
  gateway.step = verdict.claim ? 'Claim' : 'Decide';
}

/** Exclusive, as the creation of a file is: an equal epoch of another pod stays. */
function claim(world: World, gateway: Gateway): void {
  const holder = { server: 's', pod: podOf(gateway.to) };
  if (!world.stamps.some(({ epoch }) => epoch === gateway.epoch)) world.stamps.push({ epoch: gateway.epoch, holder });
  gateway.step = 'Decide';
}

function decideAgain(world: World, gateway: Gateway, mutant: Mutant): void {
  const verdict = decide(world, gateway, gateway.to, 'load', mutant);
  const guard = world.guards[gateway.to] as Guard;
  delete guard.busy;
  const mine = ({ epoch, holder }: Stamp): boolean => epoch === gateway.epoch && holder.pod === podOf(gateway.to);
  if (verdict.outcome === 'Refused') {
    world.stamps = world.stamps.filter((stamp) => !mine(stamp));
    return refused(world, gateway, verdict);
  }
  world.stamps = world.stamps.filter(({ epoch }) => epoch >= gateway.epoch);
  guard.fence = verdict.fence;
  gateway.held[gateway.to] = { epoch: gateway.epoch, intent: 'load' };
  gateway.step = 'Load';
}

function load(world: World, gateway: Gateway, mutant: Mutant): void {
  if (!mayCall(world, gateway, gateway.to, 'Load', mutant)) return again(world, gateway, 0);
  (world.guards[gateway.to] as Guard).loaded = gateway.epoch;
  gateway.step = 'Settle';
}

function settle(world: World, gateway: Gateway): void {
  const { record } = world;
  if (record?.epoch === gateway.epoch && record.at === gateway.to) world.record = { ...record, leaving: [] };
  gateway.step = 'Serving';
}

function actionsOf(world: World, mutant: Mutant): Action[] {
  const { left, guards } = world;
  const found: Action[] = [];
  const add = (name: string, run: Action['run']): void => void found.push({ name, run });
  const spend = (what: keyof Budget, name: string, run: Action['run']): void => {
    if (left[what] === 0) return;
    add(name, (after) => {
      after.left = { ...after.left, [what]: after.left[what] - 1 };
      run(after);
    });
  };
  for (const [index, gateway] of world.gateways.entries())
    gatewayActions(world, gateway, index, mutant, (name, run) => add(`gateway ${index}: ${name}`, run), spend);
  if (world.record !== undefined) spend('losses', 'the store loses its data', (after) => delete after.record);
  if (world.stamps.length > 0) spend('erasures', 'the volume loses its epochs', (after) => (after.stamps = []));
  for (const [server, { isUp, isCut }] of guards.entries()) {
    if (!isUp) continue;
    if (isCut !== true)
      spend('cuts', `server ${server} is cut off`, (after) => ((after.guards[server] as Guard).isCut = true));
    spend('deaths', `pod ${server} dies`, (after) => {
      after.guards[server] = { isUp: false };
      cut(after, server);
    });
    spend('restarts', `guard ${server} is killed`, (after) => {
      const guard = after.guards[server] as Guard;
      delete guard.busy;
      if (mutant.forgetsFences === true) delete guard.fence;
      cut(after, server);
    });
  }
  return found;
}

/** All connections to a guard are lost, and with them what is under way there. */
function cut(world: World, server: number): void {
  for (const gateway of world.gateways) {
    gateway.held[server] = null;
    const isThere = ['Claim', 'Decide', 'Load', 'Grant'].includes(gateway.step) && gateway.to === server;
    if (isThere || gateway.step === 'Closed') gateway.step = isThere ? 'Idle' : gateway.step;
  }
}

function gatewayActions(
  world: World,
  gateway: Gateway,
  index: number,
  mutant: Mutant,
  add: (name: string, run: Action['run']) => void,
  spend: (what: keyof Budget, name: string, run: Action['run']) => void,
): void {
  const act = (name: string, run: (after: World, each: Gateway) => void): void =>
    add(name, (after) => run(after, after.gateways[index] as Gateway));
  const to = world.guards[gateway.to] as Guard;
  const first = gateway.leaving[0]?.at;
  if (gateway.step === 'Idle' || gateway.step === 'Serving')
    for (const [server, { isUp, isCut }] of world.guards.entries())
      if (isUp && isCut !== true) {
        spend('moves', `gateway ${index}: wants it at ${server}`, (after) => {
          const each = after.gateways[index] as Gateway;
          Object.assign(each, { to: server, step: 'Advance', seen: after.record, floor: 0, gone: [], leaving: [] });
        });
      }
  if (gateway.step === 'Advance') act('advances the record', (after, each) => advance(after, each, mutant));
  if (gateway.step === 'Leave') act('looks where to leave', (after, each) => leave(after, each, mutant));
  if (gateway.step === 'Close' && first !== undefined && world.guards[first]?.busy === undefined)
    act(`grants the close at ${first}`, (after, each) => grantClose(after, each, mutant));
  if (gateway.step === 'Closed' && first !== undefined)
    act(`closes at ${first}`, (after, each) => close(after, each, mutant));
  if (gateway.step === 'Grant' && to.isUp && to.busy === undefined)
    act('grants the load', (after, each) => grantLoad(after, each, index, mutant));
  if (gateway.step === 'Claim') act('has it claimed', claim);
  if (gateway.step === 'Decide') act('has it decided again', (after, each) => decideAgain(after, each, mutant));
  if (gateway.step === 'Load' && to.isUp) act('loads', (after, each) => load(after, each, mutant));
  if (gateway.step === 'Settle') act('settles the record', settle);
  for (const [server, { loaded, fence }] of world.guards.entries())
    if (
      loaded !== undefined &&
      gateway.held[server]?.intent === 'load' &&
      mayCall(world, gateway, server, 'Other', mutant)
    )
      spend('writes', `gateway ${index}: writes at ${server}`, (after) => after.log.push([server, fence?.epoch ?? 0]));
}

/** What is wrong; undefined: nothing. */
export function wrongIn({ guards, log }: World): string | undefined {
  if (guards.filter(({ loaded }) => loaded !== undefined).length > 1) return 'two servers have it loaded';
  for (const [at, [server, epoch]] of log.entries()) {
    const before = log[at - 1];
    if (before === undefined) continue;
    if (epoch < before[1]) return 'the epochs in the journal fall';
    if (epoch === before[1] && server !== before[0]) return 'two servers have written under one epoch';
  }
  return undefined;
}

export interface Found {
  readonly states: number;
  readonly wrong?: string;
  readonly path?: readonly string[];
  /** How often the session was served somewhere. */
  readonly served: number;
}

/** Searches all interleavings, the shortest ways first. */
export function explore(left: Budget, mutant: Mutant = {}, maxStates = 2_000_000): Found {
  const gateway = (): Gateway => ({
    step: 'Idle',
    to: 0,
    floor: 0,
    epoch: 0,
    leaving: [],
    gone: [],
    held: [null, null, null],
  });
  const guards = [0, 1, 2].map((): Guard => ({ isUp: true }));
  const first: World = { stamps: [], guards, gateways: [gateway(), gateway()], log: [], left };
  const visited = new Set([stringify(first)]);
  let served = 0;
  let level: { world: World; path: readonly string[] }[] = [{ world: first, path: [] }];
  while (level.length > 0) {
    const next: typeof level = [];
    for (const { world, path } of level) {
      for (const { name, run } of actionsOf(world, mutant)) {
        const after = parse(stringify(world)) as World;
        run(after);
        const key = stringify(after);
        if (visited.has(key)) continue;
        visited.add(key);
        const taken = [...path, name];
        const wrong = wrongIn(after);
        if (wrong !== undefined) return { states: visited.size, wrong, path: taken, served };
        if (after.log.length > 0) served += 1;
        if (visited.size > maxStates) throw new Error(`more than ${maxStates} states: the budget is too large`);
        next.push({ world: after, path: taken });
      }
    }
    level = next;
  }
  return { states: visited.size, served };
}
