import { describe, expect, it } from '@jest/globals';
import { waitForPreviousTenant } from '../../../../src/tenant/decisions/previous-tenant.ts';
import { boundClaim } from '../fixtures.ts';

const going = (...finalizers: string[]) =>
  waitForPreviousTenant(boundClaim({}, { deletionTimestamp: '2026-01-02T03:00:00Z', finalizers }));

const plain = 'Waiting for PersistentVolumeClaim acme-0 of a previous tenant of the same name to be deleted.';

describe('a child of a previous tenant of the same name', () => {
  it('is waited for, because the garbage collector deletes it', () => {
    expect(going()).toEqual({ reason: 'WaitingForDeletion', message: plain });
  });

  it('is reported with a third-party finalizer, which needs its controller', () => {
    const { message } = going('kubernetes.io/pvc-protection', 'backup.example.com/hold');
    expect(message).toBe(
      `${plain} It is blocked by the finalizer backup.example.com/hold, which the controller that set it has to remove.`,
    );
  });

  it.each(['kubernetes.io/pvc-protection', 'foregroundDeletion', 'orphan'])(
    'is reported without the finalizer %s, which Kubernetes removes',
    (finalizer) => {
      expect(going(finalizer).message).toBe(plain);
    },
  );

  it('is reported without finalizers while it is not terminating', () => {
    const finalizers = ['backup.example.com/hold'];
    expect(waitForPreviousTenant(boundClaim({}, { finalizers })).message).toBe(plain);
  });
});
