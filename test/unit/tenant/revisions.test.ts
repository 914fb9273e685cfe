import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import type { Deployment } from '../../../src/kube/types/builtins.ts';
import { differences } from '../../../src/kube/write/diff.ts';
import { podTemplate, type PodTemplates } from '../../../src/tenant/builders/pod-template/template.ts';
import { RevisionAnnotation, TemplateAnnotation } from '../../../src/tenant/deployments.ts';
import { decide, type Plan } from '../../../src/tenant/plan.ts';
import type { RolloutBudget } from '../../../src/tenant/decisions/rollout-budget.ts';
import type { ServerWorld, World } from '../../../src/tenant/model.ts';
import {
  emptyWorld,
  healthyServer,
  OPERATOR,
  runningServer,
  sampleTenant,
  silentServer,
  UNLIMITED,
} from '../../support/tenants.ts';

const NOW = Date.parse('2026-01-02T03:04:05Z');

/** No roll-out: servers are replaced for other reasons only. */
const DISABLED: RolloutBudget = {
  ...UNLIMITED,
  rollOut: () => ({ allowed: false, reason: 'Disabled', message: 'It is disabled.' }),
};

/** Revisions 1 to `current`, which differ in their termination grace period. */
const templates = (current: number): PodTemplates => ({
  current,
  render: (tenant, index, facts, revision) => {
    const first = podTemplate(tenant, index, facts, 1);
    if (first.spec === undefined) throw new Error('the template has no pod');
    return { ...first, spec: { ...first.spec, terminationGracePeriodSeconds: 100 * revision } };
  },
});

interface Given {
  readonly operator: number;
  readonly silent?: boolean;
  readonly wasApplied?: boolean;
}

function plan(world: World, { operator, silent = false, wasApplied = false }: Given): Plan {
  return decide({
    world,
    facts: OPERATOR,
    observed: new Map([[0, silent ? silentServer(0) : healthyServer(0)]]),
    volumes: new Map(),
    wouldWrite: (desired, live) => differences(desired, live).length > 0,
    wasApplied: () => wasApplied,
    budget: DISABLED,
    templates: templates(operator),
    now: NOW,
    randomBytes: (size) => Buffer.alloc(size, 7),
  });
}

/** The cluster as an operator of this revision left it. */
function leftBy(operator: number, spec: CopilotTenantSpecInput = {}): World {
  const tenant = sampleTenant(spec);
  const [server] = plan(emptyWorld(tenant), { operator }).servers;
  const live = runningServer(tenant, 0, { deployment: server?.deployment, claim: server?.claim });
  return emptyWorld(tenant, { servers: new Map([[0, live]]) });
}

const respecified = (world: World, spec: CopilotTenantSpecInput): World => ({ ...world, tenant: sampleTenant(spec) });

/** The same cluster after somebody changed the Deployment. */
function drifted(world: World, change: (live: Deployment) => Deployment): World {
  const live = world.servers.get(0);
  if (live?.deployment === undefined) throw new Error('there is no server');
  const server: ServerWorld = { ...live, deployment: change(live.deployment) };
  return { ...world, servers: new Map([[0, server]]) };
}

const annotated = (annotations: Record<string, string | undefined>) => (live: Deployment) => {
  const kept = Object.entries({ ...live.metadata.annotations, ...annotations }).filter(
    ([, value]) => value !== undefined,
  );
  return { ...live, metadata: { ...live.metadata, annotations: Object.fromEntries(kept) as Record<string, string> } };
};
const withGrace = (terminationGracePeriodSeconds: number) => (live: Deployment) => {
  const copy = structuredClone(live);
  if (copy.spec?.template.spec) copy.spec.template.spec.terminationGracePeriodSeconds = terminationGracePeriodSeconds;
  return copy;
};
const scaledTo = (replicas: number) => (live: Deployment) => ({
  ...live,
  ...(live.spec && { spec: { ...live.spec, replicas } }),
});

/** The revision that is written, as it is rendered and as it is recorded; undefined: nothing is. */
function written(world: World, given: Given) {
  const [server] = plan(world, given).servers;
  const { deployment, live } = server ?? {};
  if (deployment === undefined) return undefined;
  if (live?.deployment !== undefined && differences(deployment, live.deployment).length === 0) return undefined;
  const rendered = (deployment.spec?.template.spec?.terminationGracePeriodSeconds ?? 0) / 100;
  return { rendered, recorded: deployment.metadata.annotations?.[RevisionAnnotation.revision] };
}

const NEW_IMAGE = { server: { image: 'example.com/copilot-cli:2' } };

describe('a server that an operator of an earlier revision started', () => {
  it.each([1, 2])('is left as it is: revision %i', (revision) => {
    expect(written(leftBy(revision), { operator: 3 })).toBeUndefined();
  });

  it.each([
    ['its spec', NEW_IMAGE],
    ['its place', { server: { nodeSelector: { pool: 'agents' } } }],
  ] satisfies [string, CopilotTenantSpecInput][])('gets the current revision when the tenant changes %s', (_, spec) => {
    expect(written(respecified(leftBy(1), spec), { operator: 3 })).toEqual({ rendered: 3, recorded: '3' });
    expect(written(respecified(leftBy(2), spec), { operator: 3 })).toEqual({ rendered: 3, recorded: '3' });
  });

  it('keeps its revision when the tenant changes what is not in the template', () => {
    expect(written(respecified(leftBy(2), { health: { interval: '1m' } }), { operator: 3 })).toBeUndefined();
  });

  it('gets the current revision when the operator restarts it', () => {
    expect(written(leftBy(1), { operator: 3, silent: true })).toEqual({ rendered: 3, recorded: '3' });
  });

  it('gets the current revision when it starts from zero', () => {
    const stopped = drifted(leftBy(1), (live) => ({
      ...scaledTo(0)(live),
      status: { observedGeneration: 1 },
    }));
    const world = {
      ...stopped,
      servers: new Map([...stopped.servers].map(([i, server]) => [i, { ...server, pods: [] }])),
    };
    expect(written(world, { operator: 3 })).toEqual({ rendered: 3, recorded: '3' });
  });

  it('keeps its revision while it is suspended', () => {
    expect(written(respecified(leftBy(2), { suspend: true }), { operator: 3 })).toEqual({ rendered: 2, recorded: '2' });
  });

  it('is repaired at its own revision', () => {
    expect(written(drifted(leftBy(2), withGrace(999)), { operator: 3 })).toEqual({ rendered: 2, recorded: '2' });
    const first = drifted(leftBy(1), withGrace(999));
    expect(written(first, { operator: 3, wasApplied: true })).toEqual({ rendered: 1, recorded: undefined });
  });

  it('counts as changed if it has no record, and neither its template nor what was applied is as it would be', () => {
    expect(written(drifted(leftBy(1), withGrace(999)), { operator: 3 })).toEqual({ rendered: 3, recorded: '3' });
  });

  it('is not restarted because a later operator restarted it: the restart is no input of the tenant', () => {
    const restarted = drifted(leftBy(2), (live) => {
      const copy = structuredClone(live);
      Object.assign(copy.spec?.template.metadata?.annotations ?? {}, {
        [TemplateAnnotation.restartedAt]: '2026-01-01T00:00:00Z',
        [TemplateAnnotation.restartAttempt]: '1',
      });
      return copy;
    });
    expect(written(restarted, { operator: 3 })).toBeUndefined();
  });
});

describe('a server that a newer operator started, after a downgrade', () => {
  it('is left as it is, although its revision is unknown', () => {
    expect(written(leftBy(3), { operator: 2 })).toBeUndefined();
    expect(plan(leftBy(3), { operator: 2 })).toMatchObject({ rolling: false, causes: [], waits: [] });
  });

  it.each([
    ['the tenant changes', respecified(leftBy(3), NEW_IMAGE), {}],
    ['it does not respond', leftBy(3), { silent: true }],
    ['a second pod writes to its volume', drifted(leftBy(3), scaledTo(2)), {}],
  ] satisfies [string, World, Partial<Given>][])('gets the revision of this operator when %s', (_, world, given) => {
    expect(written(world, { operator: 2, ...given })).toEqual({ rendered: 2, recorded: '2' });
  });

  it('keeps running without a record of what its template is made of', () => {
    const stripped = drifted(leftBy(3), annotated({ [RevisionAnnotation.inputs]: undefined }));
    expect(written(stripped, { operator: 2 })).toBeUndefined();
  });

  it('can be suspended', () => {
    const world = respecified(leftBy(3), { suspend: true });
    expect(plan(world, { operator: 2 }).servers[0]?.deployment?.spec?.replicas).toBe(0);
  });

  it('runs again as the newer operator left it after the next upgrade', () => {
    expect(written(leftBy(3), { operator: 3 })).toBeUndefined();
  });
});

describe('a record that cannot be read', () => {
  it.each(['', '0', '1.5', '-3', 'two'])('%j counts as none', (revision) => {
    const world = drifted(leftBy(1), annotated({ [RevisionAnnotation.revision]: revision }));
    expect(written(world, { operator: 3 })).toBeUndefined();
  });

  it('that was removed is restored, and the pod is not replaced', () => {
    const world = drifted(
      leftBy(2),
      annotated({ [RevisionAnnotation.revision]: undefined, [RevisionAnnotation.inputs]: undefined }),
    );
    expect(written(world, { operator: 2 })).toEqual({ rendered: 2, recorded: '2' });
  });
});
