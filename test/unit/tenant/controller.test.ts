import { describe, expect, it } from '@jest/globals';
import { Annotation } from '../../../src/api/names.ts';
import type { ObjectMeta } from '../../../src/kube/types/types.ts';
import { WAKING_INDEX, wakingKeys } from '../../../src/tenant/controller.ts';
import { sampleTenant } from '../../support/tenants.ts';

const waking = (metadata: Partial<ObjectMeta> = {}) => ({
  ...sampleTenant({}, metadata),
  status: { hibernation: { phase: 'Waking' as const, epoch: 1, since: '2026-01-02T03:00:00Z' } },
});

describe('a tenant that is being woken', () => {
  it.each<[string, Partial<ObjectMeta>, string[]]>([
    ['has a place', {}, [WAKING_INDEX]],
    ['has none while it is paused: nobody starts its servers', { annotations: { [Annotation.paused]: 'true' } }, []],
    ['has none while it is being deleted', { deletionTimestamp: '2026-01-02T03:01:00Z' }, []],
  ])('%s', (_what, metadata, keys) => {
    expect(wakingKeys(waking(metadata))).toEqual(keys);
  });
});
