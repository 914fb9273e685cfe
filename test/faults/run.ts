/** Runs a life, with one fault or with none, and judges it. */
import { Secret } from '../../src/kube/types/builtins.ts';
import type { KubeObject } from '../../src/kube/types/types.ts';
import type { Fault, Match, ProxiedRequest } from '../support/fault-proxy.ts';
import type { Campaign } from './campaign.ts';
import { CALM, FOREIGN, LIFE, type Step, unsettled } from './life.ts';
import { breakOf, type Plan, WATCHED } from './plans.ts';
import { differencesOf, isOfSweep, mask, type Snapshot, versionsOf } from './snapshot.ts';
import { FaultWorld, Violation } from './world.ts';
import { isWrite } from './writes.ts';

/** What a life came to. */
export interface Life {
  /** After each step. */
  readonly snapshots: Readonly<Record<string, Snapshot>>;
  /** How often each child was created and deleted by the operator. */
  readonly counts: Readonly<Record<string, number>>;
  /** Writes of the operator, without events. */
  readonly writes: number;
}

/** How long watches are late after a step, in ms of the world: the operator acts on what it knows. */
const LATE_MS = 20_000;
/** Longer than the pinger takes to ask every server, in ms of the world. */
const SETTLED_MS = 15_000;
/** How long a watch may be silent until that is noticed, with the time until everything is listed again; ms of the world. */
const NOTICED_MS = 200_000;
/** How much later statistics of sessions may be: they are asked for every 30 s and written every 20 s; ms of the world. */
const WRITTEN_MS = 60_000;
/** Longer than a call waits by itself, in which it would count as a request under way. */
const RETRY_AFTER_S = 20;
/** Values that must not change as long as their owner lives. */
const TOKEN = 'acme-token';

/** One life; `reference` is the one without a fault, and undefined for itself. Throws a Violation. */
export async function live(campaign: Campaign, plan?: Plan, reference?: Life): Promise<Life> {
  await using world = await FaultWorld.open(campaign);
  const snapshots: Record<string, Snapshot> = {};
  let token: string | undefined;
  let beside: Record<string, string> = {};
  if (plan?.kind === 'crash') world.crashAtWrite(plan.write, plan.how);
  if (plan?.kind === 'error') world.process.proxy.inject(isWrite, errorOf(plan.how), { nth: plan.write });
  for (const step of LIFE) {
    try {
      if (step.steady) await hear(world);
      await (plan?.kind === 'watch' && plan.step === step.name ? takeFaulty(world, step, plan) : take(world, step));
      // What was to be written by a request without a response is written after its deadline.
      while (world.process.proxy.silenced > 0) await world.advance(SETTLED_MS);
      // A process that has just started reports what it knew before, until its first ping of each server.
      await world.advance(SETTLED_MS);
      const expected = reference?.snapshots[step.name];
      if (expected !== undefined) await hearMissing(world, step, expected);
      await judge(world);
      token = sameToken(world, token);
      if (Object.keys(beside).length === 0) beside = versionsBeside(world);
      if (expected !== undefined && differencesOf(expected, world.snapshot()).length > 0)
        await world.advance(WRITTEN_MS);
      const snapshot = world.snapshot();
      snapshots[step.name] = snapshot;
      const different = expected === undefined ? [] : differencesOf(expected, snapshot);
      if (different.length > 0) throw new Violation(`another state than without a fault:\n${different.join('\n')}`);
    } catch (error) {
      if (error instanceof Error) error.message = `step ${step.name}${placeOf(plan, world)}: ${error.message}`;
      throw error;
    }
  }
  await world.compareWithLists();
  expectNone(differencesOf(beside, versionsBeside(world)), 'an object beside the tenant was changed');
  const counts = countsOf(world.journal);
  if (reference !== undefined) {
    expectNone(differencesOf(reference.counts, counts), 'other creations and deletions than without a fault');
  }
  return { snapshots, counts, writes: world.journal.filter(isWrite).length };
}

async function take(world: FaultWorld, { act, missing, withinMs }: Step): Promise<void> {
  await act(world);
  await world.settle(() => missing?.(world) ?? unsettled(world), withinMs);
}

async function takeFaulty(world: FaultWorld, step: Step, plan: Extract<Plan, { kind: 'watch' }>): Promise<void> {
  const of = watchesOf(plan.resource);
  const { proxy } = world.process;
  const broken = breakOf(plan.how);
  if (plan.how === 'late' || plan.how === 'unobserved') {
    proxy.holdWatches(of);
    await step.act(world);
    await world.advance(LATE_MS);
    if (broken !== undefined) proxy.breakWatches(of, broken);
    proxy.releaseWatches();
    await take(world, again(step));
    return;
  }
  if (plan.how === 'stale') {
    const resourceVersion = await world.resourceVersion();
    await take(world, step);
    const match: Match = (request) => of(request) && request.query.get('sendInitialEvents') === 'true';
    const stale = WATCHED.map((): [Match, Fault] => [match, { kind: 'stale', resourceVersion }]);
    await world.restart(stale);
    await world.advance(LATE_MS);
    world.process.proxy.clearFaults();
    world.process.proxy.releaseWatches();
    await take(world, again(step));
    return;
  }
  if (broken !== undefined) proxy.breakWatches(of, broken);
  await take(world, patient(step));
}

/** A step that was taken: it must come to its end from here. */
const again = (step: Step): Step => ({ ...step, act: async () => undefined });

/** A watch that is silent is noticed after minutes. */
function patient({ withinMs: _soon, ...step }: Step): Step {
  return step;
}

/**
 * Of what a silent watch keeps back the operator can't know, so the state may be another one until it notices that. Where it is the same,
 * the watch stays silent in the next steps.
 */
async function hearMissing(world: FaultWorld, step: Step, expected: Snapshot): Promise<void> {
  if (world.process.proxy.silentWatches === 0 || differencesOf(expected, world.snapshot()).length === 0) return;
  await hear(world);
  await take(world, again(step));
  await world.advance(SETTLED_MS);
}

/** Until no watch is silent. It is resumed then, so that also states which are over are shown, one after the other. */
async function hear(world: FaultWorld): Promise<void> {
  const { proxy } = world.process;
  if (proxy.silentWatches === 0) return;
  await world.advanceTimers(NOTICED_MS);
  if (proxy.silentWatches > 0) throw new Violation(`watches are silent, unnoticed for ${NOTICED_MS / 1000} s`);
}

/** Which write a fault was at. */
function placeOf(plan: Plan | undefined, { journal }: FaultWorld): string {
  if (plan === undefined || plan.kind === 'watch') return '';
  const found = journal.filter(isWrite)[plan.write - 1];
  if (found === undefined) return ', before the fault';
  const { verb, resource, name, created = name, subresource } = found;
  return `, fault at ${[verb, resource, created, subresource].join(' ').trimEnd()}`;
}

function watchesOf(
  resource: (typeof WATCHED)[number],
): (request: Pick<ProxiedRequest, 'verb' | 'resource'>) => boolean {
  return (request) => request.verb === 'watch' && (resource === 'all' || request.resource === resource);
}

function errorOf(how: Extract<Plan, { kind: 'error' }>['how']): Fault {
  if (how === 'lost') return { kind: 'loseResponse' };
  if (how === 'silence') return { kind: 'silence' };
  const reasons = { 409: 'Conflict', 429: 'TooManyRequests', 500: 'InternalError', 503: 'ServiceUnavailable' } as const;
  return {
    kind: 'respond',
    status: Number(how),
    reason: reasons[how],
    ...(how === '429' && { retryAfterSeconds: RETRY_AFTER_S }),
  };
}

/** What holds at any time. */
async function judge(world: FaultWorld): Promise<void> {
  expectNone(world.cluster.violations, 'pods that must not run together');
  const blind = world.journal.filter(
    ({ verb, deleteOptions = '' }) => verb === 'delete' && !deleteOptions.includes('"uid":"'),
  );
  expectNone(
    blind.map(({ path }) => path),
    'deletions without the UID of what is deleted',
  );
  if ((await world.process.panics()) > 0) throw new Violation('a reconcile ended with a programming error');
}

/** The connection token; it is generated once in the life of a tenant. */
function sameToken(world: FaultWorld, before: string | undefined): string | undefined {
  const secret = world.get(Secret, TOKEN);
  const token = secret?.data?.['token'];
  if (token !== undefined && before !== undefined && token !== before)
    throw new Violation('the connection token was generated again');
  return token;
}

/** The versions of all that the life does not touch. */
function versionsBeside(world: FaultWorld): Record<string, string> {
  const isBeside = ({ metadata: { name } }: KubeObject): boolean => name === FOREIGN || name.startsWith(CALM);
  return versionsOf(world.objects().filter(([, object]) => isBeside(object)));
}

/** A deletion that is asked for again, because the cache does not show it yet, changes nothing: what counts is how many objects were. */
function countsOf(journal: readonly ProxiedRequest[]): Record<string, number> {
  const counts: Record<string, number> = {};
  const deleted = new Set<string>();
  for (const { verb, resource, name, answered = 0, created, deleteOptions = '' } of journal) {
    const done = (verb === 'create' || verb === 'delete') && answered < 300 && answered > 0 && resource !== 'events';
    const of = verb === 'create' ? (created ?? '') : name;
    if (!done || isOfSweep(of)) continue;
    const uid = /"uid":"([^"]+)"/.exec(deleteOptions)?.[1];
    if (uid !== undefined && deleted.has(uid)) continue;
    if (uid !== undefined) deleted.add(uid);
    const key = `${verb} ${resource} ${mask(of)}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

function expectNone(found: readonly string[], what: string): void {
  if (found.length > 0) throw new Violation(`${what}:\n${[...new Set(found)].join('\n')}`);
}
