import { describe, expect, it } from '@jest/globals';
import type { HibernationPhase } from '../../../src/api/names.ts';
import type {
  CopilotTenantSpec,
  CopilotTenantSpecInput,
  CopilotTenantStatus,
  ServerDrain,
} from '../../../src/api/tenant.ts';
import { timestamp } from '../../../src/kube/types/time.ts';
import { differences } from '../../../src/kube/write/diff.ts';
import type { ServerObservation, ServerWorld, World } from '../../../src/tenant/model.ts';
import type { DrainReport } from '../../../src/tenant/decisions/drain.ts';
import { SLEEP_DRAIN_MS } from '../../../src/tenant/decisions/hibernation.ts';
import { notWritten, withoutServers } from '../../../src/tenant/drain-plan.ts';
import { withSleep } from '../../../src/tenant/hibernation.ts';
import { decide, type Plan, type PlanInput, stoppable } from '../../../src/tenant/plan.ts';
import {
  emptyWorld,
  GATEWAY,
  healthyServer,
  OPERATOR,
  runningServer,
  sampleTenant,
  silentServer,
  UNLIMITED,
} from '../../support/tenants.ts';
import { MINUTE, NOW } from './fixtures.ts';

const SPEC: CopilotTenantSpecInput = { access: 'Gateway', replicas: 2 };
const NEXT: CopilotTenantSpecInput = { ...SPEC, server: { image: 'example.com/copilot-cli:2' } };
const DONE: DrainReport = { turns: 0, waiting: 0 };

interface Given extends Partial<Omit<PlanInput, 'world' | 'observed'>> {
  /** What the gateway says of every drain. */
  readonly report?: DrainReport;
  readonly seen?: readonly ServerObservation[];
}

function planned(world: World, { report, seen = [], ...input }: Given = {}): Plan {
  const observed = new Map(
    Array.from({ length: world.tenant.spec.replicas }, (_, index) => [index, healthyServer(index)] as const),
  );
  for (const observation of seen) observed.set(observation.index, observation);
  return decide({
    world,
    facts: { ...OPERATOR, gateway: GATEWAY },
    observed,
    volumes: new Map(),
    wouldWrite: (desired, live) => differences(desired, live).length > 0,
    wasApplied: () => false,
    budget: UNLIMITED,
    drainReports: { get: () => report, openMs: () => undefined },
    now: NOW,
    randomBytes: (size) => Buffer.alloc(size, 7),
    ...input,
  });
}

/** The tenant with this spec, while the servers of `SPEC` run; `drains` are stated, by index. */
function running(
  spec: CopilotTenantSpecInput,
  drains: Readonly<Record<number, ServerDrain>> = {},
  annotations: Record<string, string> = {},
): World {
  const from = planned(emptyWorld(sampleTenant(SPEC)));
  const before = sampleTenant(SPEC);
  const servers = new Map(
    from.servers.map(({ index, deployment, claim }) => [index, runningServer(before, index, { deployment, claim })]),
  );
  const status: CopilotTenantStatus = {
    access: 'Gateway',
    servers: Object.entries(drains).map(([index, drain]) => ({
      name: `acme-${index}`,
      state: 'Draining' as const,
      restarts: 0,
      drain,
    })),
    drainEpoch: Math.max(0, ...Object.values(drains).map(({ epoch }) => epoch)),
  };
  return emptyWorld(sampleTenant(spec, { annotations }, status), { servers, nodes: 'Seen' });
}

const stated = (index: number, change: Partial<ServerDrain> = {}): ServerDrain => ({
  epoch: 7,
  reason: 'Updating',
  podUID: `uid-of-acme-${index}-pod`,
  since: '2026-01-02T03:04:05Z',
  deadline: '2026-01-02T03:09:05Z',
  ...change,
});

function withServer(world: World, index: number, change: Partial<ServerWorld>): World {
  const server = world.servers.get(index) ?? { index, pods: [] };
  return { ...world, servers: new Map(world.servers).set(index, { ...server, ...change }) };
}

/** The drains of a plan, as `index reason epoch end`. */
const drainsOf = ({ drains = new Map() }: Plan) =>
  Array.from(drains, ([index, { drain, end = '-' }]) => `${index} ${drain.reason} ${drain.epoch} ${end}`);
const replicas = ({ servers }: Plan) => servers.map(({ deployment }) => deployment?.spec?.replicas);
const images = ({ servers }: Plan) =>
  servers.map(({ deployment }) => deployment?.spec?.template.spec?.containers[0]?.image);

const CORDONED = { message: 'Node n1 is cordoned.', comesBack: false };
const replacedAts = ({ servers }: Plan) =>
  servers.map(
    ({ deployment }) => deployment?.spec?.template.metadata?.annotations?.['copilot-operator.dev/replaced-at'],
  );

describe('a server whose node is cordoned', () => {
  it('drains, and then its pod is replaced: the next one is scheduled elsewhere', () => {
    const world = withServer(running(SPEC), 0, { departure: CORDONED });
    const plan = planned(world);
    expect([drainsOf(plan), replacedAts(plan)]).toEqual([['0 NodeDraining 1 -'], [undefined, undefined]]);
    expect(plan.waits).toEqual([
      {
        reason: 'Draining',
        message: expect.stringMatching(/^Server acme-0 drains before it is moved to another node: /),
      },
    ]);
    const drain = { 0: stated(0, { reason: 'NodeDraining' }) };
    const drained = withServer(running(SPEC, drain), 0, { departure: CORDONED });
    const next = planned(drained, { report: DONE });
    expect([drainsOf(next), replacedAts(next)]).toEqual([
      ['0 NodeDraining 7 Drained'],
      [expect.stringMatching(/^2026-/), undefined],
    ]);
  });

  it('keeps what records that on its Deployment, so that the next pod stays', () => {
    const world = withServer(running(SPEC, { 0: stated(0) }), 0, { departure: CORDONED });
    const { deployment } = planned(world, { report: DONE }).servers[0] ?? {};
    const { claim } = world.servers.get(0) ?? {};
    const moved = withServer(world, 0, runningServer(world.tenant, 0, { deployment, claim }));
    const settled = withServer(moved, 0, { departure: undefined });
    const plan = planned(settled);
    expect([drainsOf(plan), plan.servers[0]?.replaces, replacedAts(plan)[0]]).toEqual([
      [],
      false,
      deployment?.spec?.template.metadata?.annotations?.['copilot-operator.dev/replaced-at'],
    ]);
  });

  // A node that goes takes all of them with it, and its drain is to end within the timeout.
  it('drains beside the other servers of the tenant there', () => {
    const one = withServer(running(SPEC), 0, { departure: CORDONED });
    const plan = planned(withServer(one, 1, { departure: CORDONED }));
    expect(drainsOf(plan)).toEqual(['0 NodeDraining 1 -', '1 NodeDraining 2 -']);
  });

  it('stays where its pod would come back to the node', () => {
    const spec = { ...SPEC, server: { tolerations: [{ operator: 'Exists' as const }] } };
    const from = running(SPEC);
    const world = { ...from, tenant: running(spec).tenant };
    const plan = planned(withServer(world, 0, { departure: CORDONED }), { wouldWrite: () => false });
    expect([drainsOf(plan), plan.evictions]).toMatchObject([[], { refused: false, reason: 'Tolerated' }]);
  });

  // It would be moved again and again, two minutes later each time.
  it('stays, and may be evicted, if its pod tolerates why it has to leave the node', () => {
    const departure = { message: 'Node n1 is being removed: it has the taint x.', comesBack: true };
    const world = withServer(running(SPEC), 0, { departure });
    const plan = planned(world);
    expect([drainsOf(plan), plan.servers[0]?.replaces, plan.dueInMs]).toEqual([[], false, undefined]);
    expect(plan.evictions).toMatchObject({ refused: false, reason: 'CannotMove' });
  });

  it('stays where clients connect directly: cordoning a node evicts nothing', () => {
    const plan = planned(withServer(running({ ...SPEC, access: 'Direct' }), 0, { departure: CORDONED }));
    expect([drainsOf(plan), plan.servers[0]?.replaces]).toEqual([[], false]);
  });

  it('may be evicted while the operator cannot replace it, so that nobody holds up the drain of a node', () => {
    const world = withServer(running(SPEC), 0, { departure: CORDONED });
    expect(planned(world).evictions).toMatchObject({ refused: true });
    const { deployment } = world.servers.get(0) ?? {};
    if (deployment?.spec === undefined) throw new Error('the server has no Deployment');
    const paused = withServer(world, 0, { deployment: { ...deployment, spec: { ...deployment.spec, paused: true } } });
    const stranded = planned(paused);
    expect(stranded.evictions).toMatchObject({ refused: false, reason: 'CannotMove' });
    // It waits for a change: a time that is due already would have it planned again at once, for ever.
    expect(stranded.dueInMs).not.toBe(0);
  });

  /** Moved just now, to a node that it has to leave as well. */
  function movedTo(departure: ServerWorld['departure']): World {
    const world = withServer(running(SPEC, { 0: stated(0) }), 0, { departure: CORDONED });
    const { deployment } = planned(world, { report: DONE }).servers[0] ?? {};
    const { claim } = world.servers.get(0) ?? {};
    return withServer(running(SPEC), 0, { ...runningServer(world.tenant, 0, { deployment, claim }), departure });
  }

  it('that has come back to the node is moved again two minutes later', () => {
    const plan = planned(movedTo(CORDONED));
    expect([drainsOf(plan), plan.servers[0]?.replaces, plan.dueInMs]).toEqual([[], false, 2 * MINUTE]);
  });

  // Nodes that are drained one after the other: an eviction would cut the turns that a drain waits for.
  it('may not be evicted from the next node either, which it leaves within two minutes', () => {
    const plan = planned(movedTo({ message: 'Node n2 is cordoned.', comesBack: false }));
    expect(plan.evictions).toMatchObject({ refused: true });
    expect(plan.waits).toEqual([
      {
        reason: 'ServersUpdating',
        message:
          'Node n2 is cordoned. Server acme-0 was replaced a moment ago, and leaves it from 2026-01-02T03:06:05Z on.',
      },
    ]);
  });

  it('may be evicted from the next node where the operator will not move it', () => {
    const world = movedTo({ message: 'Node n2 is cordoned.', comesBack: false });
    const { deployment } = world.servers.get(0) ?? {};
    if (deployment?.spec === undefined) throw new Error('the server has no Deployment');
    const paused = { deployment: { ...deployment, spec: { ...deployment.spec, paused: true } } };
    expect(planned(withServer(world, 0, paused)).evictions).toMatchObject({ refused: false, reason: 'CannotMove' });
  });

  it('that has come back is moved again at once when the clock was set back since', () => {
    const drains = { 0: stated(0) };
    const world = withServer(running(SPEC, drains), 0, { departure: CORDONED });
    const { deployment } = planned(world, { report: DONE }).servers[0] ?? {};
    const { claim } = world.servers.get(0) ?? {};
    const back = runningServer(world.tenant, 0, { deployment, claim });
    const plan = planned(withServer(world, 0, { ...back, departure: CORDONED }), { now: NOW - 60 * MINUTE });
    expect(drainsOf(plan)).toEqual(['0 NodeDraining 7 -']);
  });

  it('whose node is cordoned no more serves again', () => {
    const plan = planned(running(SPEC, { 0: stated(0, { reason: 'NodeDraining' }) }));
    expect([drainsOf(plan), plan.servers[0]?.replaces]).toEqual([[], false]);
  });
});

describe('a server that is to be recycled', () => {
  const AGED: CopilotTenantSpecInput = { ...SPEC, server: { recycle: { maxAge: '1h' } } };
  /** Both have run for two hours. */
  function aged(drains: Readonly<Record<number, ServerDrain>> = {}, spec = AGED): World {
    const from = running(SPEC, drains);
    const startedAt = new Date(NOW - 120 * MINUTE).toISOString();
    const servers = [...from.servers].map(([index, server]) => {
      const pods = server.pods.map((pod) => {
        const containerStatuses = (pod.status?.containerStatuses ?? []).map((status) => ({
          ...status,
          state: { running: { startedAt } },
        }));
        return { ...pod, status: { ...pod.status, containerStatuses } };
      });
      return [index, { ...server, pods }] as const;
    });
    return { ...from, tenant: { ...running(spec, drains).tenant }, servers: new Map(servers) };
  }

  it('drains, one of a tenant at a time, and is replaced then', () => {
    const plan = planned(aged());
    expect([drainsOf(plan), replacedAts(plan)]).toEqual([['0 Recycling 1 -'], [undefined, undefined]]);
    const drained = planned(aged({ 0: stated(0, { reason: 'Recycling' }) }), { report: DONE });
    expect([drainsOf(drained), replacedAts(drained)]).toEqual([
      ['0 Recycling 7 Drained'],
      [expect.stringMatching(/^2026-/), undefined],
    ]);
    const [first] = drained.servers;
    // It keeps its place in the budget of all tenants until the next process responds.
    expect(first?.deployment?.metadata.annotations).toMatchObject({
      'copilot-operator.dev/rollout-started-at': expect.any(String),
    });
    expect(drained.rolledOut?.map(({ recycles }) => recycles?.reason)).toEqual(['MaxAge']);
  });

  it('waits for a place in the budget of all tenants, which the status says', () => {
    const budget = {
      ...UNLIMITED,
      rollOut: () => ({ allowed: false, reason: 'Waiting', message: 'They wait.' }) as const,
    };
    const plan = planned(aged(), { budget });
    expect([drainsOf(plan), plan.pendingRollout?.message]).toEqual([
      [],
      'spec.server.recycle asks for fresh processes of servers acme-0, acme-1. They wait.',
    ]);
  });

  it('is left while another server of the tenant does not answer', () => {
    expect(drainsOf(planned(aged(), { seen: [silentServer(1)] }))).toEqual([]);
  });

  it('is looked at when its age is due, where that is later', () => {
    const plan = planned(aged({}, { ...SPEC, server: { recycle: { maxAge: '3h' } } }));
    expect([drainsOf(plan), plan.dueInMs]).toEqual([[], 60 * MINUTE]);
  });
});

it('evictions are refused where the operator moves the servers of a cordoned node itself', () => {
  const refuses = (spec: CopilotTenantSpecInput, nodes: World['nodes']) =>
    planned({ ...running(spec), nodes }).evictions?.refused;
  expect([refuses(SPEC, 'Seen'), refuses(SPEC, 'Hidden'), refuses({ ...SPEC, access: 'Direct' }, 'Seen')]).toEqual([
    true,
    false,
    false,
  ]);
});

describe('an update', () => {
  it('states the drain of the next server, and writes nothing of it', () => {
    const plan = planned(running(NEXT));
    expect([drainsOf(plan), images(plan), plan.drainEpoch]).toEqual([['0 Updating 1 -'], [undefined, undefined], 1]);
    expect(plan.waits).toEqual([{ reason: 'Draining', message: expect.stringContaining('Server acme-0 drains') }]);
    expect(plan.dueInMs).toBe(5 * MINUTE + 10_000);
  });

  it('goes on with what is stated, also in an operator that has just started', () => {
    const plan = planned(running(NEXT, { 0: stated(0) }), { report: { turns: 2, waiting: 1 } });
    expect([drainsOf(plan), images(plan)]).toEqual([['0 Updating 7 -'], [undefined, undefined]]);
    expect(plan.drains?.get(0)?.drain).toEqual(stated(0, { turns: 2 }));
  });

  it('replaces the pod once the gateway has left it, and states the drain until the pod is gone', () => {
    const world = running(NEXT, { 0: stated(0) });
    const plan = planned(world, { report: DONE });
    expect([drainsOf(plan), images(plan)]).toEqual([
      ['0 Updating 7 Drained'],
      ['example.com/copilot-cli:2', undefined],
    ]);
    const { deployment } = plan.servers[0] ?? {};
    if (deployment === undefined) throw new Error('the server is not replaced');
    const metadata = { ...deployment.metadata, generation: 2 };
    const written = withServer(world, 0, {
      deployment: { ...deployment, metadata, status: { observedGeneration: 1 } },
    });
    expect(drainsOf(planned(written, { seen: [healthyServer(0, { ready: false })] }))).toEqual([
      '0 Updating 7 Leaving',
    ]);
    const gone = withServer(written, 0, { pods: [] });
    expect(drainsOf(planned(gone, { seen: [healthyServer(0, { ready: false, portOpen: false })] }))).toEqual([]);
  });

  it('is also what the annotation of the tenant asks for, with each new value', () => {
    const restart = (at: string) => ({ 'copilot-operator.dev/restart': at });
    const asked = planned(running(SPEC, {}, restart('now')));
    expect(drainsOf(asked)).toEqual(['0 Updating 1 -']);
    const world = running(SPEC, { 0: stated(0) }, restart('now'));
    const { deployment } = planned(world, { report: DONE }).servers[0] ?? {};
    expect(deployment?.spec?.template.metadata?.annotations).toMatchObject({
      'copilot-operator.dev/requested-restart': 'now',
    });
    const claim = world.servers.get(0)?.claim;
    const restarted = withServer(world, 0, runningServer(world.tenant, 0, { deployment, claim }));
    const [first] = planned(restarted, { report: DONE }).servers;
    expect(first?.replaces).toBe(false);
  });

  it('of a paused Deployment or of one that is being replaced is not asked for by its node', () => {
    const world = withServer(running(SPEC), 0, { departure: CORDONED });
    const { deployment } = world.servers.get(0) ?? {};
    if (deployment?.spec === undefined) throw new Error('the server has no Deployment');
    const paused = withServer(world, 0, { deployment: { ...deployment, spec: { ...deployment.spec, paused: true } } });
    const status = { observedGeneration: 1, replicas: 1, updatedReplicas: 0 };
    const replaced = withServer(world, 0, { deployment: { ...deployment, status } });
    expect([paused, replaced].map((each) => drainsOf(planned(each)))).toEqual([[], []]);
  });

  it('that is taken back ends the drain', () => {
    const plan = planned(running(SPEC, { 0: stated(0) }));
    expect([drainsOf(plan), plan.waits, plan.drainEpoch]).toEqual([[], [], 7]);
  });

  it('of a server that does not answer happens at once', () => {
    const plan = planned(running(NEXT), { seen: [silentServer(0)] });
    expect([drainsOf(plan), images(plan)]).toEqual([[], ['example.com/copilot-cli:2', undefined]]);
  });

  it.each<[where: string, spec: CopilotTenantSpecInput, input: Given]>([
    ['clients connect directly', { ...NEXT, access: 'Direct' }, {}],
    ['no gateway can be asked', NEXT, { drainReports: undefined }],
    ['the timeout is 0s', { ...NEXT, drain: { timeout: '0s' } }, {}],
  ])('happens at once where %s', (_, spec, input) => {
    const plan = planned(running(spec), input);
    expect([drainsOf(plan), images(plan)[0]]).toEqual([[], 'example.com/copilot-cli:2']);
  });

  // Neither is there a field of the status that could state a drain.
  it('happens at once while the CRDs are those of an earlier version, whose tenants have no spec.drain', () => {
    const world = running(NEXT);
    const { drain: _drain, ...spec } = world.tenant.spec;
    const tenant = { ...world.tenant, spec: spec as CopilotTenantSpec };
    const plan = planned({ ...world, tenant });
    expect([drainsOf(plan), images(plan)[0]]).toEqual([[], 'example.com/copilot-cli:2']);
  });

  // It would hold prompts for as long as somebody has paused the Deployment.
  it('drains nothing while the Deployment is paused, because its pod stays', () => {
    const world = running(NEXT, { 0: stated(0) });
    const deployment = world.servers.get(0)?.deployment;
    if (deployment?.spec === undefined) throw new Error('the server has no Deployment');
    const paused = { ...deployment, spec: { ...deployment.spec, paused: true } };
    const plan = planned(withServer(world, 0, { deployment: paused }), { report: DONE });
    expect([drainsOf(plan), images(plan)[0]]).toEqual([[], 'example.com/copilot-cli:2']);
    const metadata = { ...plan.servers[0]?.deployment?.metadata, name: 'acme-0', generation: 2 };
    const written = { ...paused, ...plan.servers[0]?.deployment, metadata, status: { observedGeneration: 1 } };
    const spec = { ...written.spec, paused: true };
    const next = withServer(world, 0, { deployment: { ...written, spec } });
    expect(drainsOf(planned(next, { seen: [healthyServer(0, { ready: false })] }))).toEqual([]);
  });

  describe('that the API server refuses', () => {
    const world = running(NEXT, { 0: stated(0) });
    const plan = planned(world, { report: DONE });

    it('ends the drain: the pod stays, and serves', () => {
      expect([...notWritten(world.tenant, plan.servers, world.servers)]).toEqual([0]);
      const deployment = plan.servers[0]?.deployment;
      const written = new Map(world.servers).set(0, { index: 0, pods: [], deployment });
      expect([...notWritten(world.tenant, plan.servers, written)]).toEqual([]);
      expect(drainsOf({ ...plan, drains: withoutServers(plan.drains, new Set([0])) })).toEqual([]);
    });

    it('is remembered while the server waits for its next turn to be replaced, and no longer', () => {
      const facts = { ...OPERATOR, gateway: GATEWAY, serverImage: 'example.com/copilot-cli:new' };
      const allowed = { allowed: false, reason: 'Waiting', message: '' } as const;
      const waiting = planned(running(SPEC), { budget: { ...UNLIMITED, rollOut: () => allowed }, facts });
      const next = (tenant: World['tenant'], { servers }: Plan) => [
        ...notWritten(tenant, servers, world.servers, new Set([0])),
      ];
      expect(next(running(SPEC).tenant, waiting)).toEqual([0]);
      expect(next(running(SPEC).tenant, planned(running(SPEC)))).toEqual([]);
    });

    it('is tried again without a drain, which would hold prompts for each attempt', () => {
      const again = planned(running(NEXT), { refused: new Set([0]) });
      expect([drainsOf(again), images(again)]).toEqual([[], ['example.com/copilot-cli:2', undefined]]);
    });
  });

  it('keeps its place in the roll-out of an operator version while its server drains', () => {
    const held: string[] = [];
    const asked: unknown[] = [];
    const budget = {
      ...UNLIMITED,
      rollOut: (server: string, isDraining?: boolean) => {
        asked.push([server, isDraining]);
        return UNLIMITED.rollOut(server);
      },
      hold: (server: string) => void held.push(server),
    };
    const facts = { ...OPERATOR, gateway: GATEWAY, serverImage: 'example.com/copilot-cli:new' };
    const plan = planned(running(SPEC, { 1: stated(1) }), { budget, facts });
    // The one that drains comes before the one with the lower index.
    expect([drainsOf(plan), asked, held]).toEqual([['1 Updating 7 -'], [['acme-1', true]], ['acme-1']]);
  });
});

describe('a tenant that is suspended', () => {
  it('drains all servers at once, each with an epoch, and stops those that are drained', () => {
    const plan = planned(running({ ...SPEC, suspend: true }));
    expect([drainsOf(plan), replicas(plan)]).toEqual([
      ['0 Suspending 1 -', '1 Suspending 2 -'],
      [undefined, undefined],
    ]);
    const next = planned(running({ ...SPEC, suspend: true }, { 0: stated(0), 1: stated(1, { epoch: 8 }) }), {
      drainReports: { get: (_, epoch) => (epoch === 8 ? DONE : { turns: 1, waiting: 1 }), openMs: () => undefined },
    });
    expect([drainsOf(next), replicas(next)]).toEqual([
      ['0 Suspending 7 -', '1 Suspending 8 Drained'],
      [undefined, 0],
    ]);
  });

  it('and is not any more before the drain has ended goes on', () => {
    expect(drainsOf(planned(running(SPEC, { 0: stated(0, { reason: 'Suspending' }) })))).toEqual([]);
  });
});

describe('a tenant that is scaled down', () => {
  const fewer = { ...SPEC, replicas: 1 };

  it('drains the servers beyond it before they are deleted', () => {
    const plan = planned(running(fewer));
    expect([drainsOf(plan), stoppable(plan).length]).toEqual([['1 ScalingDown 1 -'], 0]);
    const done = planned(running(fewer, { 1: stated(1) }), { report: DONE });
    expect([drainsOf(done), stoppable(done).length]).toEqual([['1 ScalingDown 7 Drained'], 1]);
  });

  it('states the drain of a server that is being deleted, and ends it once only', () => {
    const world = running(fewer, { 1: stated(1) });
    const deployment = world.servers.get(1)?.deployment;
    if (deployment === undefined) throw new Error('the server has no Deployment');
    const metadata = { ...deployment.metadata, deletionTimestamp: '2026-01-02T03:04:05Z' };
    const plan = planned(withServer(world, 1, { deployment: { ...deployment, metadata } }), { report: DONE });
    expect([drainsOf(plan), stoppable(plan).length]).toEqual([['1 Updating 7 Leaving'], 1]);
  });
});

describe('a tenant that a user has paused', () => {
  const paused = { 'copilot-operator.dev/paused': 'true' };

  // Nobody replaces the pod, and the gateway would hold prompts for as long as the tenant is paused.
  it('drains no more', () => {
    const plan = planned(running(NEXT, { 0: stated(0) }, paused), { report: DONE });
    expect([drainsOf(plan), images(plan), plan.drainEpoch]).toEqual([[], [undefined, undefined], 7]);
  });

  it('has the drain of a pod stated that goes', () => {
    const world = running(NEXT, { 0: stated(0) }, paused);
    const pods = (world.servers.get(0)?.pods ?? []).map((pod) => ({
      ...pod,
      metadata: { ...pod.metadata, deletionTimestamp: '2026-01-02T03:04:05Z' },
    }));
    expect(drainsOf(planned(withServer(world, 0, { pods })))).toEqual(['0 Updating 7 Leaving']);
  });
});

describe('a tenant that is put to sleep', () => {
  const asleep = (phase: HibernationPhase, drains: Readonly<Record<number, ServerDrain>> = {}): World => {
    const world = running({ ...SPEC, hibernation: { afterIdle: '15m' } }, drains);
    const hibernation = { phase, epoch: 1, since: timestamp(NOW) };
    return { ...world, tenant: { ...world.tenant, status: { ...world.tenant.status, hibernation } } };
  };
  const takenBack = (world: World): World => ({
    ...world,
    tenant: withSleep(world.tenant, { phase: 'Running', epoch: 2, since: timestamp(NOW) }),
  });

  it('is taken back before the gateway closes what it has: by its deadline nothing of it is cut', () => {
    const { drain } = planned(asleep('Draining')).drains?.get(0) ?? {};
    expect(drain?.reason).toBe('Hibernating');
    expect(Date.parse(drain?.deadline ?? '')).toBeGreaterThanOrEqual(NOW + SLEEP_DRAIN_MS + 15_000);
  });

  it('has refused nothing when that was taken back: the next roll-out drains its servers', () => {
    const world = takenBack(asleep('Draining', { 0: stated(0, { reason: 'Hibernating' }) }));
    const plan = planned(world);
    expect([drainsOf(plan), [...notWritten(world.tenant, plan.servers, world.servers)]]).toEqual([[], []]);
  });
});
