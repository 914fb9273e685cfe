import { beforeEach, describe, expect, it } from '@jest/globals';
import { SettledPasses, type Grounds } from '../../../src/tenant/steady-state.ts';
import { tokenSecret } from '../../../src/tenant/builders/tokensecret.ts';
import { TOKEN, emptyWorld, healthyServer, modelSecret, sampleTenant } from '../../support/tenants.ts';
import { MINUTE, SECOND, boundClaim, pod, settledDeployment } from './fixtures.ts';
import type { ServerWorld, World } from '../../../src/tenant/model.ts';
import type { SessionsStatus } from '../../../src/tenant/sessions/sessions-status.ts';

const tenant = sampleTenant({}, { resourceVersion: '1' });
const at = <T extends { metadata: object }>(object: T, resourceVersion: string): T => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion },
});
/** Read anew each time. */
const acme0 = (changed: Partial<ServerWorld> = {}): ServerWorld => ({
  index: 0,
  deployment: at(settledDeployment(), '2'),
  claim: at(boundClaim(), '3'),
  pods: [pod({}, { resourceVersion: '4' })],
  ...changed,
});

/** All that a pass goes by, read anew. */
function grounds(found: Partial<World> = {}, rest: Partial<Grounds> = {}): Grounds {
  const world = emptyWorld(tenant, {
    tokenSecret: at(tokenSecret(tenant, TOKEN), '6'),
    servers: new Map([[0, acme0()]]),
    modelSecret: at(modelSecret('token', 'first'), '5'),
    ...found,
  });
  const sessions: SessionsStatus = { fields: { sessions: { active: 0, loaded: 1, total: 2 } }, pressure: undefined };
  return { world, observed: new Map([[0, healthyServer(0)]]), sessions, ...rest };
}

describe('a tenant that has settled', () => {
  let passes: SettledPasses;

  beforeEach(() => {
    passes = new SettledPasses();
    passes.settle(grounds(), 2 * MINUTE, 0);
  });

  it('rests until something is due, when all that was read is as it was', () => {
    expect(passes.restMs(grounds(), 30 * SECOND)).toBe(90 * SECOND);
    expect(passes.restMs(grounds(), 2 * MINUTE)).toBeUndefined();
  });

  it('is looked at in full every five minutes, though nothing is due', () => {
    passes.settle(grounds(), Number.POSITIVE_INFINITY, 0);
    expect(passes.restMs(grounds(), 4 * MINUTE)).toBe(MINUTE);
    expect(passes.restMs(grounds(), 5 * MINUTE)).toBeUndefined();
  });

  const job = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'run', resourceVersion: '9' } };
  it.each<[string, Grounds]>([
    ['the tenant', grounds({ tenant: at(tenant, '9') })],
    ['the content of a Secret', grounds({ modelSecret: at(modelSecret('token', 'second'), '9') })],
    ['a Secret that is gone', grounds({ modelSecret: 'NotFound' })],
    ['a Secret that may not be read any more', grounds({ modelSecret: 'Forbidden' })],
    ['a child that somebody edited', grounds({ servers: new Map([[0, acme0({ claim: at(boundClaim(), '9') })]]) })],
    ['a child that is gone', grounds({ servers: new Map([[0, acme0({ deployment: undefined })]]) })],
    ['a pod', grounds({ servers: new Map([[0, acme0({ pods: [...acme0().pods, pod()] })]]) })],
    ['a server', grounds({ servers: new Map([[1, acme0({ index: 1 })]]) })],
    ['what events say', grounds({ servers: new Map([[0, acme0({ warning: { reason: 'R', message: 'M' } })]]) })],
    ['a Job', grounds({ cleanup: { jobs: [job], pods: [], sessions: [] } })],
    ['a pod of a cleanup', grounds({ cleanup: { jobs: [], pods: [job], sessions: [] } })],
    ['health', grounds({}, { observed: new Map([[0, healthyServer(0, { state: 'Unhealthy' })]]) })],
    ['a number of sessions', grounds({}, { sessions: { fields: {}, pressure: undefined } })],
  ])('does not rest when this has changed: %s', (_, changed) => {
    expect(passes.restMs(changed, SECOND)).toBeUndefined();
  });

  it('can tell an object that has moved from one list to the next', () => {
    const [asJob, asPod] = [
      { jobs: [job], pods: [], sessions: [] },
      { jobs: [], pods: [job], sessions: [] },
    ].map((cleanup) => grounds({ cleanup }));
    if (asJob) passes.settle(asJob, MINUTE, 0);
    expect(asPod && passes.restMs(asPod, 0)).toBeUndefined();
  });

  it('is not known to have settled after it was forgotten, nor is another one', () => {
    expect(
      passes.restMs(grounds({ tenant: sampleTenant({}, { name: 'hooli', resourceVersion: '1' }) }), 0),
    ).toBeUndefined();
    passes.forget({ namespace: 'team', name: 'acme' });
    expect(passes.restMs(grounds(), 0)).toBeUndefined();
  });
});
