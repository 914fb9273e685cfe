import { describe, expect, it } from '@jest/globals';
import type { ClientSummary } from '../../../../src/gateway/client/model.ts';
import { clientView, sessionView, tenantCounts } from '../../../../src/gateway/report/views.ts';
import { parseTenantCounts } from '../../../../src/resources/gateway-internal.ts';

const AT = Date.UTC(2026, 0, 2, 3, 4, 5);

function client(id: number, name?: string): ClientSummary {
  const tenant = { namespace: 'team', name: name ?? '' };
  return {
    id,
    address: `192.0.2.${id}:4000`,
    identity: name === undefined ? undefined : { tenant, user: 'alice', credential: 'Kubernetes', expiresAt: AT },
    state: name === undefined ? 'Greeting' : 'Relaying',
    since: AT,
    application: 'portal 2.4.0',
    calls: 1,
    sessions: 2,
    queuedBytes: 3,
    receivedBytes: 4,
    sentBytes: 5,
  };
}

describe('what the internal port shows', () => {
  it('counts the admitted clients of each tenant, as the operator reads it', () => {
    const counts = tenantCounts([client(1, 'acme'), client(2), client(3, 'globex'), client(4, 'acme')]);
    expect(parseTenantCounts(JSON.stringify({ tenants: counts }))).toEqual([
      { namespace: 'team', name: 'acme', clients: 2 },
      { namespace: 'team', name: 'globex', clients: 1 },
    ]);
  });

  it.each(['{}', '[]', 'null', '{"tenants":{}}', '{"tenants":[1]}', '{"tenants":[{"namespace":"a","name":"b"}]}'])(
    'is no answer to the operator in another form: %s',
    (text) => {
      expect(() => parseTenantCounts(text)).toThrow(/the answer/);
    },
  );

  it('says of a client who it is, and how much it does', () => {
    expect(clientView(client(1, 'acme'))).toEqual({
      id: 1,
      address: '192.0.2.1:4000',
      tenant: 'team/acme',
      user: 'alice',
      credential: 'Kubernetes',
      since: '2026-01-02T03:04:05Z',
      expiresAt: '2026-01-02T03:04:05Z',
      state: 'Relaying',
      application: 'portal 2.4.0',
      calls: 1,
      sessions: 2,
      queuedBytes: 3,
      receivedBytes: 4,
      sentBytes: 5,
    });
    expect(clientView(client(2))).not.toHaveProperty('tenant');
  });

  it('says of a session where it is, and what it waits for', () => {
    const session = {
      tenant: { namespace: 'team', name: 'acme' },
      server: 'team/acme-0',
      id: 'review',
      since: AT,
      state: 'Waiting',
      clients: [1],
      heldPrompts: 0,
      openQuestions: 1,
      eventBytes: 7,
    } as const;
    expect(sessionView(session)).toEqual({ ...session, tenant: 'team/acme', since: '2026-01-02T03:04:05Z' });
  });
});
