import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import { unavailability, type AvailabilityInput } from '../../../../src/session/decisions/availability.ts';
import { located, serverView } from '../../../support/sessions.ts';
import { sampleTenant, SHARED_STORAGE } from '../../../support/tenants.ts';

const silent = serverView(0, { answer: undefined });

function found(spec: CopilotTenantSpecInput, seen: Partial<AvailabilityInput>) {
  const input = { servers: [serverView()], located: undefined, lastServer: undefined, ...seen };
  const unavailable = unavailability({ tenant: sampleTenant(spec), ...input });
  return unavailable && `${unavailable.reason} ${unavailable.transient ? 'transient' : 'lasting'}`;
}

describe('a session can be observed', () => {
  it.each<[string, Partial<AvailabilityInput>]>([
    ['on the server that has it', { located: located() }],
    ['before its first turn, when any server answers', { servers: [silent, serverView(1)] }],
    ['when the server that held it answers, even without it', { lastServer: 'acme-0' }],
    ['when its last server is not one of the tenant’s', { lastServer: 'other-0' }],
    ['when another server has it now', { servers: [silent, serverView(1)], located: located(), lastServer: 'acme-0' }],
  ])('%s', (_case, seen) => {
    expect(found({}, seen)).toBeUndefined();
  });

  it('on any server of a volume that all share, though the last one does not answer', () => {
    const seen = { servers: [silent, serverView(1)], lastServer: 'acme-0' };
    expect(found({ ...SHARED_STORAGE, replicas: 2 }, seen)).toBeUndefined();
    expect(found({ ...SHARED_STORAGE }, { ...seen, servers: [silent] })).toBe('TenantUnavailable transient');
  });
});

describe('a session can’t be observed', () => {
  it.each<[string, CopilotTenantSpecInput, Partial<AvailabilityInput>, string]>([
    ['while its tenant is suspended', { suspend: true }, { located: located() }, 'TenantSuspended lasting'],
    ['while no server answers', {}, { servers: [silent] }, 'TenantUnavailable transient'],
    ['without a server', { replicas: 0 }, { servers: [] }, 'TenantUnavailable lasting'],
    [
      'while the server that holds it does not answer, even if another does',
      { replicas: 2 },
      { servers: [silent, serverView(1)], lastServer: 'acme-0' },
      'TenantUnavailable transient',
    ],
    [
      'once its server was scaled down',
      { replicas: 1 },
      { servers: [serverView(), serverView(1, { answer: undefined, surplus: true })], lastServer: 'acme-1' },
      'TenantUnavailable lasting',
    ],
  ])('%s', (_case, spec, seen, expected) => {
    expect(found(spec, seen)).toBe(expected);
  });

  it.each([
    [-32_601, 'lasting', 'its version lacks the method sessions.list. Set spec.server.image of its tenant'],
    [-32_603, 'transient', 'it answered sessions.list with error -32603'],
  ])('on a server that can not list its sessions (%d), and the message says why', (code, how, words) => {
    const limited = serverView(0, { answer: undefined, limitations: [{ method: 'sessions.list', code }] });
    for (const lastServer of ['acme-0', undefined]) {
      expect(found({}, { servers: [limited], lastServer })).toBe(`TenantUnavailable ${how}`);
      const tenant = sampleTenant();
      const message = unavailability({ tenant, servers: [limited], located: undefined, lastServer })?.message;
      expect(message).toContain(`Server acme-0 answers, but can't list its sessions: ${words}`);
    }
  });

  it.each([
    ['Retain', 'its volume retained. Increase spec.replicas of CopilotTenant acme'],
    ['Delete', 'its volume is deleted: spec.storage.reclaimPolicy of CopilotTenant acme is Delete'],
  ] as const)('and the message says what happens to its volume with reclaim policy %s', (reclaimPolicy, words) => {
    const scaledDown = serverView(1, { answer: undefined, surplus: true });
    const tenant = sampleTenant({ storage: { reclaimPolicy } });
    const found = unavailability({ tenant, servers: [scaledDown], located: undefined, lastServer: 'acme-1' });
    expect(found?.message).toContain(words);
  });
});
