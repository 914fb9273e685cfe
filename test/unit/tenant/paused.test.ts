import { describe, expect, it } from '@jest/globals';
import { isTenantPaused } from '../../../src/resources/tenant.ts';
import { untouched } from '../../../src/tenant/apply.ts';
import type { ServerWorld } from '../../../src/tenant/model.ts';
import { pausedPlan, type Plan } from '../../../src/tenant/plan.ts';
import { SERVER_ENV, TOKEN, emptyWorld, healthyServer, sampleTenant } from '../../support/tenants.ts';
import { rolledOutDeployment } from './fixtures.ts';

const cause = { reason: 'DeploymentPaused', message: 'It is paused.' } as const;
const wait = { reason: 'ServersUpdating', message: 'Waiting.' } as const;
const live = { index: 0, pods: [], deployment: rolledOutDeployment() };
const KEPT = { reason: 'Kept', message: 'kept', token: TOKEN } as const;
const plan: Plan = {
  token: TOKEN,
  model: { ok: true, reason: 'ClientProvided', message: 'none' },
  clients: { access: 'Direct', injection: SERVER_ENV },
  podSecrets: [],
  servers: [
    {
      index: 0,
      name: 'acme-0',
      live,
      observed: healthyServer(0),
      deployment: rolledOutDeployment(),
      replaces: true,
      healthMessage: 'it hangs',
      restart: { reason: 'Timeout', message: 'it hangs' },
      cause,
      wait,
    },
  ],
  surplus: [],
  endedPods: [],
  sweeps: [{ index: 0, action: 'wait', reason: 'NotDue', message: 'later' }],
  causes: [cause],
  waits: [wait],
  rolling: true,
  dueInMs: 1,
};

describe('a paused tenant', () => {
  it.each([
    ['true', true],
    ['false', false],
    ['', false],
    [undefined, false],
  ])('has the annotation with the value true: %j', (value, expected) => {
    const annotations = value === undefined ? {} : { 'copilot-operator.dev/paused': value };
    expect(isTenantPaused(sampleTenant({}, { annotations }))).toBe(expected);
  });

  it('has a plan without writes, waits and restarts; what was found out stays', () => {
    const paused = pausedPlan(plan, KEPT);
    const [server] = paused.servers;
    expect(paused).toMatchObject({
      token: TOKEN,
      paused: true,
      rolling: false,
      sweeps: [],
      waits: [],
      causes: [cause],
    });
    expect(paused.dueInMs).toBeUndefined();
    expect(server).toEqual({
      index: 0,
      name: 'acme-0',
      live,
      observed: healthyServer(0),
      replaces: false,
      healthMessage: 'it hangs',
      cause,
    });
  });

  it('has no token if none is stored: the servers do not have the one that was generated', () => {
    expect(pausedPlan(plan, { ...KEPT, reason: 'Created' }).token).toBeUndefined();
  });

  it('has an outcome with everything as it was read', () => {
    const tenant = sampleTenant();
    const servers = new Map<number, ServerWorld>([
      [0, live],
      [3, { index: 3, pods: [] }],
    ]);
    const outcome = untouched(emptyWorld(tenant, { servers }), pausedPlan(plan, KEPT));
    expect([...outcome.servers]).toEqual([[0, live]]);
    expect(outcome.hasBinding).toBe(false);
  });
});
