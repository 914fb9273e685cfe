// A tenant that is put to sleep, woken, suspended, updated, deleted and loses its pod, in every order: a model of the operator, a replica of the gateway
// and the pod, with the real decisions on hibernation and drains. hibernation-model.test.ts has two replicas, and operators that fail.
import { describe, expect, it } from '@jest/globals';
import type { HibernationPhase } from '../../../../src/api/names.ts';
import type { ServerDrain } from '../../../../src/api/tenant.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { drainDecision } from '../../../../src/tenant/decisions/drain.ts';
import { hibernationDecision } from '../../../../src/tenant/decisions/hibernation.ts';
import { MINUTE, NOW } from '../fixtures.ts';

/** What stands in the tenant. `drain` is that of its one server. */
interface Stated {
  readonly wish: 'Runs' | 'Suspended' | 'Deleted';
  readonly phase: HibernationPhase;
  readonly epoch: number;
  readonly drainEpoch: number;
  readonly drain?: ServerDrain;
}

interface World {
  stated: Stated;
  pod: { state: 'Up' | 'Stopping' | 'Down' | 'Starting'; uid: number };
  /** Its template is not that of the spec. */
  isOutdated: boolean;
  /** The status as the replica has last seen it. */
  seen: Stated;
  /**
   * Of its client. `Held`: it waits at the gate, or for a drain. `Sent`: it is at the server. `Cut`: the server was lost with it, or before it
   * came, and it is sent to the one that comes.
   */
  call: 'None' | 'Held' | 'Sent' | 'Cut';
  /** What the operator remembers: that nobody uses the tenant, whose ask it has heard, and which drain the replica has left the pod for. */
  isIdle: boolean;
  asked: number;
  left: number;
  /** The operator took the pod away from a call. */
  isBroken: boolean;
  /** How often each thing may happen still. */
  budget: Readonly<Record<Event, number>>;
}

type Event = 'call' | 'idle' | 'suspend' | 'resume' | 'update' | 'delete' | 'loss';

/** What goes otherwise than it should. */
type Mutant = 'StopsUndrained' | 'CountsAnyDrain' | 'LeavesWithCall' | 'SendsWhileDraining' | 'HoldsForSuspended';

const { parse, stringify } = JSON;
const copy = (world: World): World => parse(stringify(world)) as World;
const isAsleep = ({ phase }: Stated): boolean => phase === 'Stopping' || phase === 'Stopped';

function stop(world: World): void {
  // A deletion waits for nobody: clients are told.
  if (world.pod.state === 'Up' && world.call === 'Sent' && world.stated.wish !== 'Deleted') world.isBroken = true;
  // One that does not serve yet ends unseen.
  world.pod = { ...world.pod, state: world.pod.state === 'Up' ? 'Stopping' : 'Down' };
}

/** One step of the operator. */
function reconcile(world: World, mutant?: Mutant): void {
  const { pod } = world;
  if (world.stated.wish === 'Deleted') {
    if (pod.state === 'Up' || pod.state === 'Starting') stop(world);
    return;
  }
  sleepOrWake(world, false);
  const { stated } = world;
  const hasPod = pod.state === 'Up' || pod.state === 'Starting';
  const why = !hasPod ? undefined : whyItStops(world);
  const decision =
    why &&
    drainDecision({
      server: 'acme-0',
      why,
      timeoutMs: 5 * MINUTE,
      throughGateway: true,
      podUID: pod.state === 'Up' ? String(pod.uid) : undefined,
      wasRefused: false,
      responds: true,
      stated: stated.drain,
      nextEpoch: stated.drainEpoch + 1,
      report: { turns: 0, waiting: hasLeft(world, mutant) ? 0 : 1 },
      openMs: undefined,
      now: NOW,
    });
  if (decision?.action === 'replace' || (why !== undefined && mutant === 'StopsUndrained')) {
    stop(world);
    // All servers are stopped now.
    if (isAsleep(stated) || why === 'Hibernating') sleepOrWake(world, true);
  } else if (decision !== undefined) {
    world.stated = { ...stated, drain: decision.drain, drainEpoch: decision.drain.epoch };
  } else if (pod.state !== 'Stopping' && stated.drain !== undefined) {
    const { drain: _over, ...rest } = stated;
    world.stated = rest;
  }
  const isToRun = world.stated.wish === 'Runs' && !isAsleep(world.stated);
  if (world.pod.state === 'Down' && isToRun) {
    world.pod = { state: 'Starting', uid: pod.uid + 1 };
    world.isOutdated = false;
  }
}

function whyItStops({ stated, isOutdated }: World) {
  if (stated.wish === 'Suspended') return 'Suspending' as const;
  if (isAsleep(stated) || stated.phase === 'Draining') return 'Hibernating' as const;
  return isOutdated ? ('Updating' as const) : undefined;
}

function hasLeft({ left, stated: { drain } }: World, mutant?: Mutant): boolean {
  return drain !== undefined && (left === drain.epoch || (mutant === 'CountsAnyDrain' && left > 0));
}

function sleepOrWake(world: World, mayStop: boolean): void {
  const { stated, pod } = world;
  const { phase, epoch, drain } = stated;
  const { status } = hibernationDecision({
    stated: epoch === 0 ? undefined : { phase, epoch, since: timestamp(NOW) },
    wanted: { afterIdleMs: 15 * MINUTE, wakeTimeoutMs: MINUTE },
    canWake: true,
    isExpected: stated.wish === 'Runs',
    isPaused: false,
    idleMs: world.isIdle ? 60 * MINUTE : 0,
    servesSince: timestamp(NOW - 60 * MINUTE),
    isAsked: world.asked >= epoch,
    hasPlace: () => true,
    areReady: pod.state === 'Up',
    arePortsOpen: pod.state === 'Up',
    wakingMs: 0,
    foundAtMs: 0,
    isChanging: drain !== undefined && drain.reason !== 'Hibernating',
    areStopped: pod.state === 'Down',
    mayStop,
    cause: undefined,
    now: NOW,
  });
  if (status === undefined || status.epoch === epoch) return;
  if (status.phase === 'Running' || status.phase === 'Waking') Object.assign(world, { asked: -1, isIdle: false });
  world.stated = { ...stated, phase: status.phase, epoch: status.epoch };
}

interface Action {
  readonly name: string;
  /** It happens sooner or later; anything else may never happen. */
  readonly isFair: boolean;
  readonly run: (world: World) => void;
}

/** Whether a call that comes, or waits, is sent. */
function passes({ seen, pod }: World, mutant?: Mutant): boolean {
  if (seen.drain !== undefined && mutant !== 'SendsWhileDraining') return false;
  if (seen.wish !== 'Runs' && pod.state !== 'Up') return false;
  return seen.phase === 'Running' || (seen.phase === 'Waking' && pod.state === 'Up');
}

/** It passes, and a pod that stops still takes it. */
function send(world: World): void {
  world.call = world.pod.state === 'Up' || world.pod.state === 'Stopping' ? 'Sent' : 'Cut';
}

function actions(world: World, mutant?: Mutant): Action[] {
  const found: Action[] = [];
  const add = (name: string, isFair: boolean, run: Action['run']): void => void found.push({ name, isFair, run });
  const { stated, seen, pod, call, budget } = world;
  const may = (event: Event, isPossible: boolean, run: Action['run']): void => {
    if (budget[event] === 0 || !isPossible) return;
    add(event, false, (next) => {
      next.budget = { ...next.budget, [event]: next.budget[event] - 1 };
      run(next);
    });
  };
  const wish = (is: Stated['wish']) => (next: World) => void (next.stated = { ...next.stated, wish: is });
  add('the operator reconciles', true, (next) => reconcile(next, mutant));
  if (pod.state === 'Stopping') add('the pod is gone', true, (next) => void (next.pod.state = 'Down'));
  if (pod.state === 'Starting') add('the pod serves', true, (next) => void (next.pod.state = 'Up'));
  if (stringify(seen) !== stringify(stated))
    add('the replica sees the status', true, (next) => void (next.seen = next.stated));
  may('suspend', stated.wish === 'Runs', wish('Suspended'));
  may('resume', stated.wish === 'Suspended', wish('Runs'));
  may('delete', stated.wish !== 'Deleted', wish('Deleted'));
  may(
    'update',
    !world.isOutdated && stated.wish !== 'Deleted',
    (next) => void (next.isOutdated = pod.state !== 'Down'),
  );
  may('idle', call === 'None' && !world.isIdle, (next) => void (next.isIdle = true));
  may('loss', pod.state === 'Up', (next) => {
    next.pod.state = 'Starting';
    if (next.call === 'Sent') next.call = 'Cut';
  });
  const isOver = seen.wish === 'Deleted' || (seen.wish === 'Suspended' && pod.state === 'Down');
  may('call', call === 'None' && !isOver, (next) => (passes(next, mutant) ? send(next) : void (next.call = 'Held')));
  if (call === 'Held' && passes(world, mutant)) add('the call passes', true, send);
  if (call === 'Cut' && pod.state === 'Up') add('the call is sent again', true, (next) => void (next.call = 'Sent'));
  if (call === 'Sent' && pod.state === 'Up') add('the call is answered', true, (next) => void (next.call = 'None'));
  const isTold = seen.wish === 'Deleted' || (isOver && mutant !== 'HoldsForSuspended');
  if (call !== 'None' && isTold) add('the client is told', true, (next) => void (next.call = 'None'));
  // Also what was lost keeps a tenant awake, until it is sent again.
  const asks = call === 'Held' ? !passes(world, mutant) : call !== 'None' && seen.phase === 'Draining';
  if (asks) add('the replica asks', true, (next) => void (next.asked = Math.max(next.asked, seen.epoch)));
  const { drain } = seen;
  const isFree = drain?.reason === 'Hibernating' ? call === 'None' : call === 'None' || call === 'Held';
  if (drain !== undefined && world.left !== drain.epoch && (isFree || mutant === 'LeavesWithCall')) {
    add('the replica has left the pod', true, (next) => void (next.left = drain.epoch));
  }
  return found;
}

/** A call is at a pod that is taken away for a reason that waits for calls. */
const isBroken = ({ isBroken: is, pod, call, stated }: World): boolean =>
  is || (pod.state === 'Stopping' && call === 'Sent' && stated.wish !== 'Deleted');

/** Whether every call ends, and the pod is as the spec says, when everything happens in turn that must happen some time. */
function ends(start: World, mutant?: Mutant): boolean {
  const world = copy(start);
  for (let round = 0; round < 40; round += 1) {
    const isSettled = world.stated.wish === 'Runs' || world.pod.state === 'Down';
    if (world.call === 'None' && isSettled) return true;
    for (const { name } of actions(world, mutant).filter(({ isFair }) => isFair)) {
      // Those before it may have made it impossible.
      actions(world, mutant)
        .find((each) => each.name === name)
        ?.run(world);
    }
  }
  return false;
}

/** Searches all interleavings. Returns the actions that lead to a call that is cut, or to one that never ends. */
function explore(budget: Partial<World['budget']>, mutant?: Mutant, only?: 'cut' | 'hangs') {
  const stated: Stated = { wish: 'Runs', phase: 'Running', epoch: 0, drainEpoch: 0 };
  const none = { call: 0, idle: 0, suspend: 0, resume: 0, update: 0, delete: 0, loss: 0 };
  const first: World = {
    stated,
    pod: { state: 'Up', uid: 1 },
    isOutdated: false,
    seen: stated,
    call: 'None',
    isIdle: false,
    asked: -1,
    left: 0,
    isBroken: false,
    budget: { ...none, ...budget },
  };
  const visited = new Set([stringify(first)]);
  const reached = new Set<string>();
  let level: { world: World; path: readonly string[] }[] = [{ world: first, path: [] }];
  while (level.length > 0) {
    const next: typeof level = [];
    for (const { world, path } of level) {
      reached.add(world.stated.phase).add(world.stated.drain?.reason ?? 'NoDrain');
      for (const { name, run } of actions(world, mutant)) {
        const after = copy(world);
        run(after);
        const key = stringify(after);
        if (visited.has(key)) continue;
        visited.add(key);
        const taken = [...path, name];
        if (only !== 'hangs' && isBroken(after)) return { cut: taken };
        if (only !== 'cut' && !ends(after, mutant)) return { hangs: taken };
        next.push({ world: after, path: taken });
      }
    }
    level = next;
  }
  return { states: visited.size, reached: [...reached] };
}

const SUSPENDED = { call: 2, idle: 1, suspend: 1, resume: 1 };
const UPDATED = { call: 2, idle: 1, update: 1, loss: 1 };
const DELETED = { call: 1, idle: 1, update: 1, suspend: 1, delete: 1, loss: 1 };

describe('a tenant with one server, in every order of what may happen', () => {
  it.each([
    [SUSPENDED, ['Suspending', 'Hibernating']],
    [UPDATED, ['Updating', 'Hibernating']],
    [DELETED, ['Updating', 'Suspending', 'Hibernating']],
  ])('cuts no call and has none wait for ever, with %j', (budget, drains) => {
    const found = explore(budget);
    expect(found).toEqual({
      states: expect.any(Number),
      reached: expect.arrayContaining([...drains, 'Stopped', 'Waking']),
    });
    expect(found.states).toBeGreaterThan(1_000);
  });

  it.each<[string, Mutant, 'cut' | 'hangs', Partial<World['budget']>]>([
    ['whose pod is stopped before the gateway has left it', 'StopsUndrained', 'cut', SUSPENDED],
    ['of which a drain that was taken back counts for the next one', 'CountsAnyDrain', 'cut', SUSPENDED],
    ['that the gateway leaves with a call', 'LeavesWithCall', 'cut', UPDATED],
    ['to which calls are sent while it drains', 'SendsWhileDraining', 'cut', UPDATED],
    ['whose calls are held while it is suspended', 'HoldsForSuspended', 'hangs', SUSPENDED],
  ])('would, as the model finds, if it were one %s', (_what, mutant, problem, budget) => {
    expect(explore(budget, mutant, problem)).toHaveProperty(problem);
  });
});
