import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import type { Job } from '../../../../src/kube/types/builtins.ts';
import { executeRuns, type RunContext } from '../../../../src/tenant/cleanup/run-executor.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { emptyWorld, sampleTenant } from '../../../support/tenants.ts';

const job: Job = {
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'acme-cleanup-1', namespace: 'team', uid: 'u' },
};
const runs = { keptOpen: [job], problem: {} } as unknown as Parameters<typeof executeRuns>[2];

async function deletedJobs(annotations: Record<string, string>): Promise<string[]> {
  const deleted: string[] = [];
  const applier = { delete: async (_: unknown, { metadata }: Job) => deleted.push(metadata.name) > 0 };
  const context = {
    applier,
    clock: new FakeClock(0),
    log: pino({ level: 'silent' }),
    signal: new AbortController().signal,
  } as unknown as RunContext;
  await executeRuns(context, emptyWorld(sampleTenant({}, { annotations })), runs);
  return deleted;
}

describe('a cleanup run that a sidecar keeps open', () => {
  it('is deleted, but not while the tenant is paused', async () => {
    expect(await deletedJobs({})).toEqual(['acme-cleanup-1']);
    expect(await deletedJobs({ 'copilot-operator.dev/paused': 'true' })).toEqual([]);
  });
});
