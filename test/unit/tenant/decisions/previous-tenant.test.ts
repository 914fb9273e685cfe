import { describe, expect, it } from '@jest/globals';
import { waitForPreviousTenant } from '../../../../src/tenant/decisions/previous-tenant.ts';
import { boundClaim } from '../fixtures.ts';

const going = (...finalizers: string[]) =>
  waitForPreviousTenant(boundClaim({}, { deletionTimestamp: '2026-01-02T03:00:00Z', finalizers }));

const plain = 'Waiting for PersistentVolumeClaim acme-0 of a previous tenant of the same name to be deleted.';

describe('a child of a deleted tenant of the same name', () => {
  it('is waited for: the garbage collector takes it', () => {
    expect(going()).toEqual({ reason: 'WaitingForDeletion', message: plain });
  });

  it("is told with somebody's finalizer, which does not go by itself", () => {
    const { message } = going('kubernetes.io/pvc-protection', 'backup.example.com/hold');
    expect(message).toBe(
      `${plain} It is blocked by the finalizer backup.example.com/hold, which the controller that set it has to remove.`,
    );
  });

  it.each(['kubernetes.io/pvc-protection', 'foregroundDeletion', 'orphan'])(
    'is told without the finalizer %s, which Kubernetes takes away',
    (finalizer) => {
      expect(going(finalizer).message).toBe(plain);
    },
  );

  it('is told without finalizers while nobody has deleted it yet', () => {
    const finalizers = ['backup.example.com/hold'];
    expect(waitForPreviousTenant(boundClaim({}, { finalizers })).message).toBe(plain);
  });
});
