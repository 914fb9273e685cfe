import { beforeEach, describe, expect, it } from '@jest/globals';
import { SteadyStates, type ReconcileInputs } from '../../../src/tenant/steady-state.ts';
import { tokenSecret } from '../../../src/tenant/builders/tokensecret.ts';
import { TOKEN, emptyWorld, healthyServer, modelSecret, sampleTenant } from '../../support/tenants.ts';
import { MINUTE, SECOND, boundClaim, pod, rolledOutDeployment } from './fixtures.ts';
import type { HibernationDecision, HibernationReason } from '../../../src/tenant/decisions/hibernation.ts';
import type { ServerWorld, World } from '../../../src/tenant/model.ts';
import type { SessionsStatus } from '../../../src/tenant/sessions/sessions-status.ts';

const tenant = sampleTenant({}, { resourceVersion: '1' });
const at = <T extends { metadata: object }>(object: T, resourceVersion: string): T => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion },
});
/** A new object each time. */
const acme0 = (changed: Partial<ServerWorld> = {}): ServerWorld => ({
  index: 0,
  deployment: at(rolledOutDeployment(), '2'),
  claim: at(boundClaim(), '3'),
  pods: [pod({}, { resourceVersion: '4' })],
  ...changed,
});

const decided = (reason: HibernationReason): HibernationDecision => ({
  phase: 'Running',
  reason,
  message: '',
  status: undefined,
  dueInMs: MINUTE,
});

/** The inputs of a reconcile, new objects each time. */
function inputs(found: Partial<World> = {}, rest: Partial<ReconcileInputs> = {}): ReconcileInputs {
  const world = emptyWorld(tenant, {
    tokenSecret: at(tokenSecret(tenant, TOKEN), '6'),
    servers: new Map([[0, acme0()]]),
    modelSecret: at(modelSecret('token', 'first'), '5'),
    ...found,
  });
  const sessions: SessionsStatus = { fields: { sessions: { active: 0, loaded: 1, total: 2 } }, pressure: undefined };
  return { world, observed: new Map([[0, healthyServer(0)]]), sessions, sleep: decided('InUse'), ...rest };
}

describe('a steady tenant', () => {
  let states: SteadyStates;

  beforeEach(() => {
    states = new SteadyStates();
    states.record(inputs(), 2 * MINUTE, 0);
  });

  it('is skipped until something is due, if no input has changed', () => {
    expect(states.remainingMs(inputs(), 30 * SECOND)).toBe(90 * SECOND);
    expect(states.remainingMs(inputs(), 2 * MINUTE)).toBeUndefined();
  });

  it('is reconciled every half hour, although nothing is due', () => {
    states.record(inputs(), Number.POSITIVE_INFINITY, 0);
    expect(states.remainingMs(inputs(), 29 * MINUTE)).toBe(MINUTE);
    expect(states.remainingMs(inputs(), 30 * MINUTE)).toBeUndefined();
  });

  const job = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'run', resourceVersion: '9' } };
  it.each<[string, ReconcileInputs]>([
    ['the tenant', inputs({ tenant: at(tenant, '9') })],
    ['the content of a Secret', inputs({ modelSecret: at(modelSecret('token', 'second'), '9') })],
    ['a deleted Secret', inputs({ modelSecret: 'NotFound' })],
    ['a Secret that may no longer be read', inputs({ modelSecret: 'Forbidden' })],
    [
      'a child that another writer changed',
      inputs({ servers: new Map([[0, acme0({ claim: at(boundClaim(), '9') })]]) }),
    ],
    ['a deleted child', inputs({ servers: new Map([[0, acme0({ deployment: undefined })]]) })],
    ['a pod', inputs({ servers: new Map([[0, acme0({ pods: [...acme0().pods, pod()] })]]) })],
    ['a server', inputs({ servers: new Map([[1, acme0({ index: 1 })]]) })],
    ['the latest event', inputs({ servers: new Map([[0, acme0({ warning: { reason: 'R', message: 'M' } })]]) })],
    ['a Job', inputs({ cleanup: { jobs: [job], pods: [], sessions: [] } })],
    ['a pod of a cleanup', inputs({ cleanup: { jobs: [], pods: [job], sessions: [] } })],
    ['health', inputs({}, { observed: new Map([[0, healthyServer(0, { state: 'Unhealthy' })]]) })],
    ['why the tenant sleeps or runs', inputs({}, { sleep: decided('Unknown') })],
    ['a number of sessions', inputs({}, { sessions: { fields: {}, pressure: undefined } })],
  ])('is not skipped after a change of %s', (_, changed) => {
    expect(states.remainingMs(changed, SECOND)).toBeUndefined();
  });

  it('is not skipped when an object moves from one list to the next', () => {
    const [asJob, asPod] = [
      { jobs: [job], pods: [], sessions: [] },
      { jobs: [], pods: [job], sessions: [] },
    ].map((cleanup) => inputs({ cleanup }));
    if (asJob) states.record(asJob, MINUTE, 0);
    expect(asPod && states.remainingMs(asPod, 0)).toBeUndefined();
  });

  it('is not skipped after it was forgotten, nor is any other tenant', () => {
    expect(
      states.remainingMs(inputs({ tenant: sampleTenant({}, { name: 'hooli', resourceVersion: '1' }) }), 0),
    ).toBeUndefined();
    states.forget({ namespace: 'team', name: 'acme' });
    expect(states.remainingMs(inputs(), 0)).toBeUndefined();
  });
});
