import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantStatus } from '../../../src/api/tenant.ts';
import { timestamp } from '../../../src/kube/types/time.ts';
import { computeStatus, type StatusInput } from '../../../src/tenant/status.ts';
import { statusToWrite } from '../../../src/tenant/throttled-status.ts';
import { untouched } from '../../../src/tenant/apply.ts';
import type { Plan } from '../../../src/tenant/plan.ts';
import { INJECTED, SERVER_ENV, emptyWorld, healthyServer, sampleTenant } from '../../support/tenants.ts';
import { MINUTE, NOW } from './fixtures.ts';

const plan: Plan = {
  model: { ok: true, reason: 'ClientProvided', message: 'none' },
  clients: { access: 'Direct', injection: SERVER_ENV },
  podSecrets: [],
  servers: [],
  surplus: [],
  endedPods: [],
  sweeps: [],
  causes: [],
  waits: [],
  rolling: false,
};

function inputOf(status?: CopilotTenantStatus, change: Partial<StatusInput> = {}): StatusInput {
  const tenant = sampleTenant({}, {}, status);
  return {
    tenant,
    plan,
    outcome: untouched(emptyWorld(tenant), plan),
    observed: [healthyServer(0)],
    sessions: { fields: status?.sessions === undefined ? {} : { sessions: status.sessions }, pressure: undefined },
    usages: new Map(),
    lastCleanup: undefined,
    now: NOW,
    ...change,
  };
}

/** The status as an operator wrote it that did not know the fields `access` and `modelInjection`. */
function olderStatus(): CopilotTenantStatus {
  const { access: _access, modelInjection: _injection, ...status } = computeStatus(inputOf());
  return status;
}

describe('the status that is written', () => {
  it('is the one that an older operator wrote, if only the fields access and modelInjection would be new', () => {
    const older = olderStatus();
    expect(statusToWrite(inputOf(older), 0).status).toEqual(older);
    expect(statusToWrite(inputOf(older), MINUTE).status).toEqual(older);
  });

  it('is the one before, also if only one of these fields would be new', () => {
    const older: CopilotTenantStatus = { ...olderStatus(), access: 'Direct' };
    expect(statusToWrite(inputOf(older), MINUTE).status).toEqual(older);
    const clients = { access: 'Direct', injection: INJECTED } as const;
    const input = inputOf(older, { plan: { ...plan, clients } });
    expect(statusToWrite(input, MINUTE).status.modelInjection).toBe('Gateway');
  });

  it('has access and injection with the next change of anything else', () => {
    const observed = [healthyServer(0, { version: '1.0.103' })];
    const { status } = statusToWrite(inputOf(olderStatus(), { observed }), MINUTE);
    expect(status).toMatchObject({ access: 'Direct', modelInjection: 'ServerEnv', serverVersion: '1.0.103' });
  });

  it('has the access at once where it is Gateway, or the tenant is new', () => {
    const clients = { access: 'Gateway', injection: SERVER_ENV } as const;
    const input = inputOf(olderStatus(), { plan: { ...plan, clients } });
    expect(statusToWrite(input, MINUTE).status.access).toBe('Gateway');
    expect(statusToWrite(inputOf(), MINUTE).status.access).toBe('Direct');
  });

  it('says of a tenant whose clients were never counted that it has none with the next change only', () => {
    const last = computeStatus(inputOf());
    const none = (status: CopilotTenantStatus, clients = 0) =>
      statusToWrite(inputOf(status, { sessions: { fields: { clients }, pressure: undefined } }), 0).status.clients;
    expect(none(last)).toBeUndefined();
    expect(none({ ...last, serverVersion: '1.0.1' })).toBe(0);
    expect(none({ ...last, clients: 2 })).toBe(0);
    expect(none(last, 1)).toBe(1);
  });

  it('holds back statistics that are all that changed, and has them after that', () => {
    const last = computeStatus(inputOf());
    const sessions = { fields: { lastActivityTime: timestamp(NOW) }, pressure: undefined };
    expect(statusToWrite(inputOf(last, { sessions }), MINUTE)).toEqual({ status: last, statisticsDueMs: MINUTE });
    expect(statusToWrite(inputOf(last, { sessions }), 0).status.lastActivityTime).toBe(timestamp(NOW));
  });
});
