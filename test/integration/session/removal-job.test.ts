// Many CopilotSessions of a tenant whose servers do not run are deleted: one Job for each volume takes them all, over a real API server.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Job } from '../../../src/kube/types/builtins.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { removedBy } from '../../../src/session/builders/removaljob.ts';
import { sessionFacts } from '../../support/fake-sessions.ts';
import { SessionWorld } from '../../support/session-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(240_000);

const MINUTE = 60_000;

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

const open = () => SessionWorld.open(api.kubeconfig);
const namesOf = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `s-${from + i}`);
const requestsOf = (job: Job | undefined): string[] =>
  (job?.spec?.template.spec?.containers[0]?.args ?? []).flatMap(
    (arg) => /^--delete-session=(.*)$/.exec(arg)?.[1] ?? [],
  );

/** A suspended tenant with these sessions on the volume of its server. */
async function suspended(world: SessionWorld, names: readonly string[], owners: Record<string, string> = {}) {
  await world.createTenant();
  await world.createClaim();
  world.source.answer(world.server(), ...names.map((name) => sessionFacts(name)));
  for (const name of names) await world.createSession(owners[name] ? { owner: owners[name] } : {}, name);
  await world.settle();
  await world.changeTenant({ suspend: true });
  world.source.silence(world.server());
  await world.observeTenant({ replicas: 0 });
  await world.settle();
}

async function remove(world: SessionWorld, names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => world.delete(CopilotSession, name)));
  await world.settle();
  await world.advance(1_000, 1_000);
}

async function onlyJob(world: SessionWorld): Promise<Job> {
  const [job, ...more] = await world.jobs();
  if (job === undefined || more.length > 0) throw new Error(`there are ${more.length + 1} Jobs`);
  return job;
}
const left = async (world: SessionWorld) =>
  (await world.client.listAll(CopilotSession, { namespace: world.namespace })).items.map(
    ({ metadata }) => metadata.name,
  );

describe('the sessions of a suspended tenant that are deleted together', () => {
  it('are removed by one Job, hundreds of them, and end with it', async () => {
    await using world = await open();
    const names = namesOf(300);
    await suspended(world, names, { 's-7': 'bob' });
    await remove(world, names);
    const job = await onlyJob(world);
    expect(job.metadata.name).toBe('acme-remove0');
    expect(requestsOf(job).toSorted()).toEqual(names.map((name) => (name === 's-7' ? 's-7=bob' : name)).toSorted());
    expect(removedBy(job)).toHaveLength(300);
    await world.endRemovalPod(
      job,
      names.map(() => 'Deleted'),
    );
    await world.endJob(job, 'Complete');
    await world.settle();
    expect(await left(world)).toEqual([]);
    expect(world.events).toEqual([]);
  });

  it('that come while a Job runs are removed by the next one, and are not given up for waiting their turn', async () => {
    await using world = await open();
    await suspended(world, ['a', 'b', 'c']);
    await remove(world, ['a']);
    const first = await onlyJob(world);
    await world.advance(3 * MINUTE, 30_000);
    await remove(world, ['b', 'c']);
    // Longer than a deletion takes at most, if nothing works on it.
    await world.advance(MINUTE, 30_000);
    expect(await left(world)).toEqual(['a', 'b', 'c']);
    expect((await onlyJob(world)).metadata.uid).toBe(first.metadata.uid);
    await world.endRemovalPod(first, ['Deleted']);
    await world.endJob(first, 'Complete');
    await world.advance(3_000, 1_000);
    const second = await onlyJob(world);
    expect(second.metadata.uid).not.toBe(first.metadata.uid);
    expect(requestsOf(second).toSorted()).toEqual(['b', 'c']);
    await world.endRemovalPod(second, ['Deleted', 'NotFound']);
    await world.endJob(second, 'Complete');
    await world.settle();
    expect(await left(world)).toEqual([]);
    expect(world.events).toEqual([]);
  });

  it('fail alone: the others end before the Job, which tries again', async () => {
    await using world = await open();
    await suspended(world, ['a', 'b', 'c']);
    await remove(world, ['a', 'b', 'c']);
    const job = await onlyJob(world);
    const outcomes = requestsOf(job).map((name) =>
      name === 'b' ? 'Failed' : name === 'c' ? 'OwnedByAnother' : 'Deleted',
    );
    await world.endRemovalPod(job, outcomes, 'acme-0: session b: permission denied');
    await world.advance(5_000);
    expect(await left(world)).toEqual(['b']);
    expect(world.events).toEqual([expect.stringMatching(/^Normal SessionDataOfAnother: .* session c /)]);
    await world.endJob(job, 'Failed', 'Job has reached the specified backoff limit');
    await world.settle();
    expect(await left(world)).toEqual([]);
    expect(world.events.at(-1)).toMatch(
      /SessionDataLeftBehind: .*Job acme-remove0 failed: .*session b: permission denied/,
    );
  });

  it('that a Job did not come to are removed by the next one', async () => {
    await using world = await open();
    await suspended(world, ['a', 'b', 'c']);
    await remove(world, ['a', 'b', 'c']);
    const job = await onlyJob(world);
    const [first = '', ...others] = requestsOf(job);
    await world.endRemovalPod(job, ['Deleted'], 'it took too long');
    await world.endJob(job, 'Failed', 'Job has reached the specified backoff limit');
    await world.advance(3_000, 1_000);
    expect(await left(world)).not.toContain(first);
    expect(requestsOf(await onlyJob(world)).toSorted()).toEqual(others.toSorted());
  });

  it('are told apart from those of the same name that were deleted before', async () => {
    await using world = await open();
    await suspended(world, ['a']);
    await remove(world, ['a']);
    const first = await onlyJob(world);
    await world.endRemovalPod(first, ['Deleted']);
    await world.endJob(first, 'Complete');
    await world.settle();
    await world.createSession({}, 'a');
    await world.settle();
    await remove(world, ['a']);
    await world.advance(2_000, 1_000);
    const second = await onlyJob(world);
    expect(second.metadata.uid).not.toBe(first.metadata.uid);
    expect(await left(world)).toEqual(['a']);
  });

  it('are in the same Job for the next process', async () => {
    await using world = await open();
    await suspended(world, ['a', 'b']);
    await remove(world, ['a', 'b']);
    const job = await onlyJob(world);
    await using next = await SessionWorld.open(api.kubeconfig, world.namespace);
    await next.settle();
    await next.advance(5_000);
    expect((await onlyJob(next)).metadata.uid).toBe(job.metadata.uid);
    await next.endRemovalPod(job, ['Deleted', 'Deleted']);
    await next.endJob(job, 'Complete');
    await next.settle();
    expect(await left(next)).toEqual([]);
  });

  it('get no Job while their server starts, though the cache does not show it yet', async () => {
    await using world = await open();
    await suspended(world, ['a']);
    await world.delete(CopilotSession, 'a');
    await world.sync();
    await world.changeTenant({ suspend: false });
    await world.sync(CopilotSession, Job);
    for (let i = 0; i < 3; i += 1) await world.clock.advance(1_000);
    await world.rest();
    expect(await world.jobs()).toEqual([]);
    expect((await world.client.get(CopilotTenant, world.ref('acme'))).spec.suspend).toBe(false);
    expect(await left(world)).toEqual(['a']);
  });

  it('wait half an hour at most', async () => {
    await using world = await open();
    await suspended(world, ['a', 'b']);
    await remove(world, ['a']);
    for (let turn = 0; turn < 12 && (await left(world)).length > 0; turn += 1) {
      const [job] = await world.jobs();
      if (job !== undefined && turn === 0) await remove(world, ['b']);
      await world.advance(4 * MINUTE, MINUTE);
    }
    expect(await left(world)).toEqual([]);
  });
});
