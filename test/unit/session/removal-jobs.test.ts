import { expect, it } from '@jest/globals';
import type { HibernationPhase } from '../../../src/api/names.ts';
import type { KubeClient } from '../../../src/kube/client/client.ts';
import { Job } from '../../../src/kube/types/builtins.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { RemovalJobs, type RemovalJobsOptions } from '../../../src/session/removal/removal-jobs.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { sampleSession } from '../../support/sessions.ts';
import { sampleTenant } from '../../support/tenants.ts';

const sleepy = (phase: HibernationPhase, epoch: number): CopilotTenant =>
  sampleTenant(
    { hibernation: { afterIdle: '15m' } },
    {},
    { hibernation: { phase, epoch, since: '2026-01-02T03:04:05Z' } },
  );

/** Asks for the Job of a session of a tenant that sleeps, as the cache has it; `live`: the tenant as the API server has it. */
async function ensure(live: CopilotTenant, setByMs = 0) {
  const created: string[] = [];
  const client = {
    get: (type: unknown) => Promise.resolve(type === CopilotTenant ? live : { metadata: { name: 'acme-0' } }),
    create: (type: unknown) => Promise.resolve(created.push(type === Job ? 'Job' : 'another')),
  } as unknown as KubeClient;
  const clock = new FakeClock();
  const since = setByMs === 0 ? 0 : clock.now();
  const none = { get: () => undefined, list: () => [], byIndex: () => [], keys: () => [] };
  const stores = { jobs: none, pods: none, sessions: none } as unknown as Pick<
    RemovalJobsOptions,
    'jobs' | 'pods' | 'sessions'
  >;
  const jobs = new RemovalJobs({ ...stores, client, facts: { operatorImage: 'operator:1' }, clock });
  clock.jumpWallClock(setByMs);
  const progress = await jobs.ensure({
    session: sampleSession(),
    tenant: sleepy('Stopped', 4),
    index: 0,
    since,
    isOnVolume: () => false,
    signal: new AbortController().signal,
  });
  return { created, progress };
}

it('a session of a tenant that sleeps is removed from its volume', async () => {
  expect(await ensure(sleepy('Stopped', 4))).toMatchObject({ created: ['Job'], progress: { state: 'Waiting' } });
});

it('a session is removed soon when the clock is set back by an hour after its deletion', async () => {
  expect(await ensure(sleepy('Stopped', 4), -3_600_000)).toMatchObject({ created: ['Job'] });
});

// A wake changes the status, and not the generation.
it('nothing works on the volume of a tenant that is being woken, which the cache does not show yet', async () => {
  expect(await ensure(sleepy('Waking', 5))).toEqual({
    created: [],
    progress: { state: 'Waiting', message: 'CopilotTenant acme has changed', refreshing: true },
  });
});
