import { describe, expect, it } from '@jest/globals';
import type { Applier } from '../../../../src/kube/write/apply.ts';
import { CronJob } from '../../../../src/kube/types/builtins.ts';
import { StatusError } from '../../../../src/kube/types/errors.ts';
import type { KubeObject } from '../../../../src/kube/types/types.ts';
import { ChildWriter } from '../../../../src/tenant/child-writer.ts';
import { cronJob } from '../../../../src/tenant/builders/cronjob.ts';
import { applyCleanup } from '../../../../src/tenant/cleanup/apply-cleanup.ts';
import { cleanupScope } from '../../../../src/tenant/cleanup/cleanup-scope.ts';
import { OPERATOR, sampleTenant } from '../../../support/tenants.ts';

const tenant = sampleTenant({ sessions: { ttl: '720h' } });
const previous = cronJob(tenant, { image: 'i', scope: cleanupScope(tenant, new Map()), paused: false });

/** An API server that accepts everything, and refuses CronJobs with an error if there is one. */
class Requests implements Pick<Applier, 'apply' | 'delete'> {
  readonly applied: string[] = [];
  readonly deleted: string[] = [];
  readonly #error: Error | undefined;

  constructor(error?: Error) {
    this.#error = error;
  }

  apply: Applier['apply'] = async (type, desired) => {
    this.applied.push(type.kind);
    if (type.kind === CronJob.kind && this.#error) throw this.#error;
    return { action: 'unchanged', object: desired, changed: [] };
  };

  contest: Applier['contest'] = () => undefined;

  delete: Applier['delete'] = async (_, live: KubeObject) => {
    this.deleted.push(`${live.kind} ${live.metadata.name}`);
    return true;
  };
}

const failure = (code: number, reason: string, message: string): StatusError =>
  new StatusError({ method: 'PATCH', path: '/acme-cleanup' }, { code, reason, message });
const INVALID = failure(422, 'Invalid', 'CronJob.batch "acme-cleanup" is invalid: spec.timeZone: unknown time zone');

async function applied(requests: Requests, { facts = OPERATOR, live = previous } = {}) {
  const writer = new ChildWriter(requests, tenant, new AbortController().signal);
  const cleanup = { cronJob: live, jobs: [], pods: [], sessions: [] };
  await applyCleanup(writer, facts, { tenant, cleanup }, new Map());
  return writer;
}

describe('the CronJob of the previous spec', () => {
  it('that an earlier tenant left without an owner is deleted too: it would go on deleting sessions', async () => {
    const { ownerReferences: _, ...metadata } = previous.metadata;
    const annotations = { 'copilot-operator.dev/applied-hash': 'h' };
    const orphan = { ...previous, metadata: { ...metadata, annotations } };
    const requests = new Requests();
    const writer = new ChildWriter(requests, sampleTenant(), new AbortController().signal);
    for (const cronJob of [orphan, { ...previous, metadata }]) {
      const cleanup = { cronJob, jobs: [], pods: [], sessions: [] };
      await applyCleanup(writer, OPERATOR, { tenant: sampleTenant(), cleanup }, new Map());
    }
    // Only the one with the operator's mark.
    expect(requests.deleted).toEqual(['CronJob acme-cleanup']);
  });

  it('is deleted when that of the current spec is refused', async () => {
    const requests = new Requests(INVALID);
    const { refusals } = await applied(requests);
    expect(refusals.map(({ reason }) => reason)).toEqual(['InvalidSpec']);
    expect(requests.deleted).toEqual(['CronJob acme-cleanup']);
  });

  it('is deleted when the operator image is unknown, after the kept sessions were written', async () => {
    const requests = new Requests();
    const { refusals } = await applied(requests, { facts: { ...OPERATOR, operatorImage: undefined } });
    expect(refusals.map(({ reason }) => reason)).toEqual(['OperatorImageUnknown']);
    expect(requests.applied).toEqual(['ConfigMap', 'NetworkPolicy']);
    expect(requests.deleted).toEqual(['CronJob acme-cleanup']);
  });

  it.each<[string, Requests]>([
    ['is replaced', new Requests()],
    ['could not be replaced because of a temporary error', new Requests(failure(503, 'ServiceUnavailable', 'later'))],
  ])('is kept when it %s', async (_, requests) => {
    const { refusals } = await applied(requests);
    expect(refusals).toEqual([]);
    expect(requests.deleted).toEqual([]);
  });

  it('is not deleted if another owner controls it', async () => {
    const requests = new Requests(INVALID);
    await applied(requests, { live: { ...previous, metadata: { ...previous.metadata, ownerReferences: [] } } });
    expect(requests.deleted).toEqual([]);
  });
});
