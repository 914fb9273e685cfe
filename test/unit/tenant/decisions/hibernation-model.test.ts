// A sleeping tenant loses no call: every interleaving of a small model of the operator, two replicas of the gateway, their clients and the pod.
import { describe, expect, it } from '@jest/globals';
import type { HibernationPhase } from '../../../../src/api/names.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { hibernationDecision } from '../../../../src/tenant/decisions/hibernation.ts';
import { MINUTE, NOW } from '../fixtures.ts';

interface Seen {
  readonly phase: HibernationPhase;
  readonly epoch: number;
  readonly failedEpoch: number;
}

/** A replica of the gateway. Each has one client, so that both may have a call of the tenant. */
interface Replica {
  /** The status as its watch last told. */
  seen: Seen;
  /** `Held`: a call waits at the gate. `Sent`: it is at the server. */
  call: 'None' | 'Held' | 'Sent';
  /** Of the status when the call was held. */
  heldAt: number;
}

interface World {
  status: Seen;
  pod: 'Up' | 'Stopping' | 'Down' | 'Starting';
  replicas: [Replica, Replica];
  /** What the operator remembers, and a new process does not: that nobody uses the tenant, who asked, and who has left for which epoch. */
  isIdle: boolean;
  asked: number;
  left: [number, number];
  /** Whether it has pinged the pod since this process leads. */
  hasPinged: boolean;
  /** How often each thing may happen still. */
  budget: { calls: number; idle: number; crashes: number; failures: number };
}

// Globals are slow to read in the context of a test, and these are read very often.
const { parse, stringify } = JSON;
const copy = (world: World): World => parse(stringify(world)) as World;

/** What goes otherwise than it should. */
interface Mutant {
  readonly stopsUnasked?: boolean;
  readonly leavesWithCall?: boolean;
  readonly neverAsks?: boolean;
  readonly trustsOnlyPings?: boolean;
}

interface Action {
  readonly name: string;
  /** It happens sooner or later; anything else may never happen. */
  readonly isFair: boolean;
  readonly run: (world: World) => void;
}

const isOpen = ({ phase }: Seen, pod: World['pod']): boolean =>
  phase === 'Running' || (phase === 'Waking' && pod === 'Up');

/** One step of the operator, with the real decision. */
function decide(world: World, isLate: boolean, mutant: Mutant): void {
  const { status, pod, isIdle, asked, left, hasPinged } = world;
  const { phase, epoch, failedEpoch } = status;
  const input = {
    stated:
      epoch === 0
        ? undefined
        : {
            phase,
            epoch,
            since: timestamp(NOW - (isLate ? 60 : 0) * MINUTE),
            ...(failedEpoch > 0 && { failure: { epoch: failedEpoch, message: '' } }),
          },
    wanted: { afterIdleMs: 15 * MINUTE, wakeTimeoutMs: MINUTE },
    canWake: true,
    isExpected: true,
    isPaused: false,
    // That a wake was long ago is told by the idle gateway, too.
    idleMs: isIdle ? 60 * MINUTE : 0,
    servesSince: timestamp(NOW - 60 * MINUTE),
    isAsked: asked >= epoch,
    hasPlace: () => true,
    areReady: pod === 'Up' && hasPinged,
    wakingMs: isLate ? MINUTE : 0,
    foundAtMs: 0,
    arePortsOpen: pod === 'Up' && mutant.trustsOnlyPings !== true,
    isChanging: false,
    areStopped: pod === 'Down',
    cause: undefined,
    now: NOW,
  };
  const mayStop = mutant.stopsUnasked === true || left.every((each) => each === epoch);
  // Again after the plan has stopped the servers, unless they go on.
  const [next] = [false, mayStop]
    .map((each) => hibernationDecision({ ...input, mayStop: each }).status)
    .filter((each) => each !== undefined && each.epoch !== epoch);
  if (next === undefined) return;
  if (next.phase === 'Running' || next.phase === 'Waking') {
    if (pod !== 'Up') Object.assign(world, { pod: 'Starting', hasPinged: false });
    world.asked = -1;
    world.isIdle = false;
  }
  if (next.phase === 'Stopping') world.pod = pod === 'Down' ? 'Down' : 'Stopping';
  world.status = { phase: next.phase, epoch: next.epoch, failedEpoch: next.failure?.epoch ?? 0 };
}

function actions(world: World, mutant: Mutant): Action[] {
  const found: Action[] = [];
  const add = (name: string, isFair: boolean, run: Action['run']): void => void found.push({ name, isFair, run });
  const { budget, status, pod } = world;
  add('the operator decides', true, (next) => decide(next, false, mutant));
  const isDraining = status.phase === 'Draining';
  const isFailing = status.phase === 'Waking' && budget.failures > 0;
  if (isDraining || isFailing) {
    add('its time is over', isDraining, (next) => {
      if (isFailing) next.budget.failures -= 1;
      decide(next, true, mutant);
    });
  }
  if (pod === 'Stopping') add('the pod is gone', true, (next) => void (next.pod = 'Down'));
  if (pod === 'Starting') add('the pod serves', true, (next) => void (next.pod = 'Up'));
  if (pod === 'Up' && !world.hasPinged) add('the operator pings it', true, (next) => void (next.hasPinged = true));
  if (budget.crashes > 0) {
    add('another operator leads', false, (next) => {
      Object.assign(next, { isIdle: false, asked: -1, left: [-1, -1], hasPinged: false });
      next.budget.crashes -= 1;
    });
  }
  const isUsed = world.replicas.some(({ call }) => call !== 'None');
  if (budget.idle > 0 && !isUsed && !world.isIdle) {
    // What the operator knows is old as soon as it has it.
    add('the gateway says that nobody uses the tenant', false, (next) => {
      next.isIdle = true;
      next.budget.idle -= 1;
    });
  }
  world.replicas.forEach((replica, index) => {
    const of = (next: World): Replica => next.replicas[index as 0 | 1];
    const { seen, call, heldAt } = replica;
    if (seen.epoch !== status.epoch) {
      add(`${index} sees the status`, true, (next) => void (of(next).seen = next.status));
    }
    if (call === 'None' && budget.calls > 0) {
      add(`${index} gets a call`, false, (next) => {
        next.budget.calls -= 1;
        Object.assign(of(next), { call: isOpen(seen, next.pod) ? 'Sent' : 'Held', heldAt: seen.epoch });
      });
    }
    if (call === 'Held' && isOpen(seen, pod))
      add(`${index} lets it pass`, true, (next) => void (of(next).call = 'Sent'));
    if (call === 'Held' && seen.failedEpoch > heldAt && !isOpen(seen, pod)) {
      add(`${index} tells its client`, true, (next) => void (of(next).call = 'None'));
    }
    if (call === 'Held' && mutant.neverAsks !== true) {
      add(`${index} asks`, true, (next) => void (next.asked = Math.max(next.asked, seen.epoch)));
    }
    if (call === 'Sent' && pod === 'Up') add(`${index} is answered`, true, (next) => void (of(next).call = 'None'));
    const hasLeft = seen.phase === 'Draining' && (call === 'None' || mutant.leavesWithCall === true);
    if (isDraining && hasLeft && world.left[index] !== seen.epoch) {
      add(`${index} says that it has left`, true, (next) => void (next.left[index as 0 | 1] = seen.epoch));
    }
  });
  return found;
}

/** A call was sent to a pod that hibernation takes away. */
function isBroken({ replicas, pod, status }: World): boolean {
  const isStopped = status.phase === 'Stopping' || status.phase === 'Stopped';
  return isStopped && pod !== 'Up' && replicas.some(({ call }) => call === 'Sent');
}

/** Whether every call ends when everything happens in turn that must happen some time. */
function ends(start: World, mutant: Mutant): boolean {
  if (start.replicas.every(({ call }) => call === 'None')) return true;
  const world = copy(start);
  for (let round = 0; round < 40; round += 1) {
    if (world.replicas.every(({ call }) => call === 'None')) return true;
    for (const { name } of actions(world, mutant).filter(({ isFair }) => isFair)) {
      // Those before it may have made it impossible, and the time of a drain is over last.
      if (name !== 'its time is over')
        actions(world, mutant)
          .find((each) => each.name === name)
          ?.run(world);
    }
  }
  return false;
}

/** Searches all interleavings. Returns the actions that lead to a call that is lost, or that never ends; of a mutant only what it is to find. */
function explore(budget: World['budget'], mutant: Mutant = {}, only?: 'lost' | 'hangs') {
  const seen: Seen = { phase: 'Running', epoch: 0, failedEpoch: 0 };
  const replica = (): Replica => ({ seen, call: 'None', heldAt: 0 });
  const first: World = {
    status: seen,
    pod: 'Up',
    replicas: [replica(), replica()],
    isIdle: false,
    asked: -1,
    left: [-1, -1],
    hasPinged: true,
    budget,
  };
  const visited = new Set([stringify(first)]);
  const phases = new Set<HibernationPhase>();
  let level: { world: World; path: readonly string[] }[] = [{ world: first, path: [] }];
  while (level.length > 0) {
    const next: typeof level = [];
    for (const { world, path } of level) {
      phases.add(world.status.phase);
      for (const { name, run } of actions(world, mutant)) {
        const after = copy(world);
        run(after);
        const key = stringify(after);
        if (visited.has(key)) continue;
        visited.add(key);
        const taken = [...path, name];
        if (only !== 'hangs' && isBroken(after)) return { lost: taken, states: visited.size, phases };
        if (only !== 'lost' && !ends(after, mutant)) return { hangs: taken, states: visited.size, phases };
        next.push({ world: after, path: taken });
      }
    }
    level = next;
  }
  return { states: visited.size, phases };
}

const BUDGETS = [
  { calls: 2, idle: 1, crashes: 0, failures: 0 },
  { calls: 1, idle: 1, crashes: 1, failures: 1 },
];
const [TWO_CALLS, A_CRASH] = BUDGETS as [World['budget'], World['budget']];

describe('a tenant that sleeps, in every order of what may happen', () => {
  it.each(BUDGETS)('neither loses a call nor lets one wait for ever, with %j', (budget) => {
    const found = explore(budget);
    expect(found).toEqual({ states: expect.any(Number), phases: expect.any(Set) });
    expect(found.states).toBeGreaterThan(10_000);
    expect([...found.phases].toSorted()).toEqual(['Draining', 'Running', 'Stopped', 'Stopping', 'Waking']);
  });

  it.each<[string, Mutant, 'lost' | 'hangs', World['budget']]>([
    ['that is stopped before every replica has left it', { stopsUnasked: true }, 'lost', TWO_CALLS],
    ['whose replicas leave it with a call', { leavesWithCall: true }, 'lost', TWO_CALLS],
    ['that nobody asks for', { neverAsks: true }, 'hangs', TWO_CALLS],
    ['whose wake fails only because a new operator has not pinged it', { trustsOnlyPings: true }, 'lost', A_CRASH],
  ])('would, as the model finds, if it were one %s', (_what, mutant, problem, budget) => {
    expect(explore(budget, mutant, problem)).toHaveProperty(problem);
  });
});
