import { describe, expect, it } from '@jest/globals';
import type { ClientSummary } from '../../../../src/gateway/client/model.ts';
import { clientView, drainLine, sessionView, tenantCounts, tenantsView } from '../../../../src/gateway/report/views.ts';
import { parseDrains, parseTenants } from '../../../../src/resources/gateway-internal.ts';

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
    expect(parseTenants(JSON.stringify({ tenants: counts }))).toEqual({
      tenants: [
        { namespace: 'team', name: 'acme', clients: 2 },
        { namespace: 'team', name: 'globex', clients: 1 },
      ],
    });
  });

  it('says for how long tenants that may sleep were not used, those without clients too', () => {
    const idle = [
      { namespace: 'team', name: 'acme', idleMs: 0 },
      { namespace: 'team', name: 'initech', idleMs: 90_000 },
    ];
    const view = tenantsView([client(1, 'acme'), client(3, 'globex')], {
      upMs: 100_000,
      idle,
      heldTurns: [],
      places: [],
    });
    expect(parseTenants(JSON.stringify(view))).toEqual({
      tenants: [
        { namespace: 'team', name: 'acme', clients: 1, idleMs: 0 },
        { namespace: 'team', name: 'globex', clients: 1, idleMs: 100_000 },
        { namespace: 'team', name: 'initech', clients: 0, idleMs: 90_000 },
      ],
      upMs: 100_000,
    });
  });

  it('says who holds turns, as the operator reads it', () => {
    const turn = { namespace: 'team', name: 'acme', session: 's', holder: 'alice', epoch: 2, heldMs: 1500 };
    const view = tenantsView([], { upMs: 1, idle: [], heldTurns: [turn], places: [] });
    expect(parseTenants(JSON.stringify(view))).toEqual({ tenants: [], upMs: 1, heldTurns: [turn] });
    const odd = { tenants: [], heldTurns: [{ ...turn, heldMs: -1 }] };
    expect(() => parseTenants(JSON.stringify(odd))).toThrow(/no turn that a user holds/);
  });

  it('says where sessions are, as the operator reads it', () => {
    const place = { namespace: 'team', name: 'acme', server: 'acme-1', sessions: ['s', 't'] };
    const view = tenantsView([], { upMs: 1, idle: [], heldTurns: [], places: [place] });
    expect(parseTenants(JSON.stringify(view))).toEqual({ tenants: [], upMs: 1, places: [place] });
    const odd = { tenants: [], places: [{ ...place, sessions: [7] }] };
    expect(() => parseTenants(JSON.stringify(odd))).toThrow(/no server with sessions/);
  });

  it('says how far drains are, as the operator reads it', () => {
    const tenant = { namespace: 'team', name: 'acme' };
    const line = drainLine({ tenant, server: 'team/acme-0', epoch: 2, turns: 1, isDrained: false });
    expect(parseDrains(JSON.stringify({ drains: [line] }))).toEqual([
      { server: 'team/acme-0', epoch: 2, turns: 1, drained: false },
    ]);
    for (const text of ['{}', '{"drains":[1]}', '{"drains":[{"server":"a/b","epoch":1,"turns":0}]}']) {
      expect(() => parseDrains(text)).toThrow(/the answer/);
    }
  });

  it.each(['{}', '[]', 'null', '{"tenants":{}}', '{"tenants":[1]}', '{"tenants":[{"namespace":"a","name":"b"}]}'])(
    'is no answer to the operator in another form: %s',
    (text) => {
      expect(() => parseTenants(text)).toThrow(/the answer/);
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
