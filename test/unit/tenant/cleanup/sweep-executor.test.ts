import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import type { Job, PersistentVolumeClaim } from '../../../../src/kube/types/builtins.ts';
import { StatusError, TransportError } from '../../../../src/kube/types/errors.ts';
import type { SweepDecision } from '../../../../src/tenant/cleanup/sweep-decision.ts';
import { executeSweeps, type SweepContext } from '../../../../src/tenant/cleanup/sweep-executor.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const metadata = { name: 'acme-0', namespace: 'team', uid: 'u', resourceVersion: '1' };
const claim: PersistentVolumeClaim = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata };
const job: Job = { apiVersion: 'batch/v1', kind: 'Job', metadata: { ...metadata, name: 'acme-sweep0' } };
const why = { index: 0, reason: 'r', message: 'm' };
const STEPS: Record<string, SweepDecision> = {
  start: { ...why, action: 'start', claim, at: '', besideServer: true },
  request: { ...why, action: 'request', claim },
  clear: { ...why, action: 'clear', claim },
  postpone: { ...why, action: 'postpone', claim, until: 1 },
  deleteJob: { ...why, action: 'deleteJob', job },
};
const request = { method: 'PATCH', path: '/' };
const conflict = new StatusError(request, { code: 409, reason: 'Conflict' });
const broken = new StatusError(request, { code: 500, reason: 'InternalError' });
const refused = new StatusError(request, { code: 403, reason: 'Forbidden', message: 'exceeded quota' });
const silent = new TransportError(request, 'deadline', 'no answer');

/** Executes one step; the first request of each kind ends with this error. */
async function execute(step: SweepDecision, error?: Error) {
  const failing = [error];
  const answer = async (): Promise<void> => {
    const next = failing.shift();
    if (next !== undefined) throw next;
  };
  const context = {
    client: { patch: answer },
    applier: { apply: answer, delete: answer },
    clock: new FakeClock(0),
    log: pino({ level: 'silent' }),
    facts: { operatorImage: 'i' },
    signal: new AbortController().signal,
  } as unknown as SweepContext;
  return executeSweeps(context, sampleTenant(), [step]);
}

describe('a step of a sweep', () => {
  it.each(Object.entries(STEPS))('that succeeds is not tried again: %s', async (_, step) => {
    expect((await execute(step)).retryAfterMs).toBeUndefined();
  });

  it.each(Object.entries(STEPS))('that met a newer object is decided again soon: %s', async (_, step) => {
    expect(await execute(step, conflict)).toEqual({ failures: [], retryAfterMs: 1_000 });
  });

  it.each(
    Object.keys(STEPS).flatMap(
      (name) =>
        [
          [name, broken],
          [name, silent],
        ] as const,
    ),
  )('that failed is tried again, without an event for each time: %s, %p', async (name, error) => {
    expect(await execute(STEPS[name] as SweepDecision, error)).toEqual({ failures: [], retryAfterMs: 10_000 });
  });

  it('that is refused is tried again in an hour, and told', async () => {
    const { failures, retryAfterMs } = await execute(STEPS['start'] as SweepDecision, refused);
    expect(failures).toEqual([expect.stringContaining('The next attempt is in an hour.')]);
    expect(retryAfterMs).toBeUndefined();
  });
});
