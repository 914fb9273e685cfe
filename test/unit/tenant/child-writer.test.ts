import { describe, expect, it } from '@jest/globals';
import { Secret } from '../../../src/kube/types/builtins.ts';
import { ForeignObjectError } from '../../../src/kube/types/owner.ts';
import type { Applier, ApplyResult } from '../../../src/kube/write/apply.ts';
import { ChildWriter } from '../../../src/tenant/child-writer.ts';
import { tokenSecret } from '../../../src/tenant/builders/tokensecret.ts';
import { sampleTenant } from '../../support/tenants.ts';

const tenant = sampleTenant();
const desired = tokenSecret(tenant, 'token');

async function writerAfter(apply: () => Partial<ApplyResult<Secret>>): Promise<ChildWriter> {
  const applier = { apply: async () => ({ object: desired, changed: [], ...apply() }) } as unknown as Applier;
  const writer = new ChildWriter(applier, tenant, new AbortController().signal);
  await writer.apply(Secret, desired, desired);
  return writer;
}

describe('what a written child waits for', () => {
  it('is checked soon while the child is being deleted: no event may report its end', async () => {
    expect((await writerAfter(() => ({ action: 'terminating' }))).retryAfterMs).toBe(2_000);
  });

  it('is checked soon while a child of a previous tenant exists', async () => {
    const previous = tokenSecret(sampleTenant({}, { uid: 'uid-of-the-previous-acme' }), 'token');
    const writer = await writerAfter(() => {
      throw new ForeignObjectError(desired, previous);
    });
    expect(writer.retryAfterMs).toBe(2_000);
    expect(writer.waits.map(({ reason }) => reason)).toEqual(['WaitingForDeletion']);
  });

  it('is the back-off while another writer keeps reverting it', async () => {
    expect((await writerAfter(() => ({ action: 'deferred', retryAfterMs: 7_000 }))).retryAfterMs).toBe(7_000);
  });

  it('is nothing otherwise', async () => {
    expect((await writerAfter(() => ({ action: 'unchanged' }))).retryAfterMs).toBeUndefined();
  });
});

describe('a child that another writer keeps changing', () => {
  const writers = [{ manager: 'kubectl', operation: 'Update' }];
  const contest = { fields: ['data.token'], writers, endsInMs: 9_000 };

  it('is reported whether or not it was restored now, and checked when that is over', async () => {
    for (const action of ['updated', 'unchanged', 'deferred'] as const) {
      const writer = await writerAfter(() => ({ action, contest }));
      expect(writer.conflicts.map(({ reason }) => reason)).toEqual(['ConflictingWriter']);
      expect(writer.refusals).toEqual([]);
      expect(writer.retryAfterMs).toBe(9_000);
    }
  });

  it('is reported while it cannot be applied', () => {
    const applier = { contest: () => contest } as unknown as Applier;
    const writer = new ChildWriter(applier, tenant, new AbortController().signal);
    writer.leave(Secret, desired);
    expect(writer.conflicts[0]?.message).toContain('Field manager kubectl (Update)');
  });
});

describe('a child that was taken over', () => {
  it('is named', async () => {
    expect((await writerAfter(() => ({ action: 'updated', adopted: true }))).adopted).toEqual(['Secret acme-token']);
    expect((await writerAfter(() => ({ action: 'updated' }))).adopted).toEqual([]);
  });
});

describe('a child whose values by an admission policy are undone by an update', () => {
  it('is named with the fields and what to do about the policy', async () => {
    const writer = await writerAfter(() => ({ action: 'updated', undone: ['data.token'] }));
    expect(writer.undone).toHaveLength(1);
    expect(writer.undone[0]).toContain('had changed data.token of Secret acme-token');
    expect(writer.undone[0]).toContain('match UPDATE as well as CREATE');
  });
});
