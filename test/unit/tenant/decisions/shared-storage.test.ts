import { describe, expect, it } from '@jest/globals';
import { sharedStorage, type SharedStorageInput } from '../../../../src/tenant/decisions/shared-storage.ts';
import { persistentVolumeClaim } from '../../../../src/tenant/builders/persistentvolumeclaim.ts';
import { sampleTenant, SHARED_STORAGE } from '../../../support/tenants.ts';

const made = persistentVolumeClaim(sampleTenant(SHARED_STORAGE), 0);
const bound = (...accessModes: string[]) => ({ ...made, status: { phase: 'Bound', accessModes } });
const decide = (input: Partial<SharedStorageInput> = {}) =>
  sharedStorage({ claim: bound('ReadWriteMany'), hasImage: true, hasKeys: true, ...input });

describe('servers that share a volume', () => {
  it.each<[string, Partial<SharedStorageInput>]>([
    ['it is ReadWriteMany', {}],
    ['it is that among others', { claim: bound('ReadWriteOnce', 'ReadWriteMany') }],
    ['its claim does not exist yet', { claim: undefined }],
    ['its claim waits for its first pod', { claim: { ...made, status: { phase: 'Pending' } } }],
  ])('may start when %s', (_case, input) => {
    expect(decide(input)).toMatchObject({ mayStart: true, reason: 'Usable' });
  });

  it('do not start on a volume that is not ReadWriteMany, and a user is told what to do', () => {
    const { mayStart, cause } = decide({ claim: bound('ReadWriteOnce') });
    expect(mayStart).toBe(false);
    expect(cause?.reason).toBe('VolumeNotShared');
    expect(cause?.message).toMatch(
      /^PersistentVolumeClaim acme-shared is bound to a volume that is ReadWriteOnce and not ReadWriteMany, .*StorageClass that provides ReadWriteMany volumes/,
    );
  });

  it('do not start with a claim that somebody else made for one node', () => {
    const claim = { ...made, spec: { ...made.spec, accessModes: ['ReadWriteOnce'] } };
    expect(decide({ claim }).cause?.message).toContain('asks for ReadWriteOnce and not for ReadWriteMany');
  });

  it('do not start without the image of their guards', () => {
    expect(decide({ hasImage: false }).cause).toMatchObject({ reason: 'OperatorImageUnknown' });
  });

  it('wait for the keys of grants, which need no user', () => {
    const { mayStart, cause, wait } = decide({ hasKeys: false });
    expect([mayStart, cause, wait?.reason]).toEqual([false, undefined, 'ServersStarting']);
    expect(wait?.message).toContain('Secret copilot-gateway-grants');
  });
});
