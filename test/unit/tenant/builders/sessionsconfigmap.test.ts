import { describe, expect, it } from '@jest/globals';
import type { CopilotSessionSpecInput } from '../../../../src/api/session.ts';
import { sessionSpec } from '../../../../src/api/session.ts';
import type { ObjectMeta } from '../../../../src/kube/types/types.ts';
import type { CopilotSession } from '../../../../src/resources/session.ts';
import { sessionsConfigMap } from '../../../../src/tenant/builders/sessionsconfigmap.ts';
import { sampleTenant } from '../../../support/tenants.ts';

/** When the sessions were created: their TTL counts from then at the earliest. */
const since = '2026-01-01T00:00:00Z';

const session = (
  name: string,
  spec: Partial<CopilotSessionSpecInput> = {},
  metadata: Partial<ObjectMeta> = {},
): CopilotSession => ({
  apiVersion: 'copilot-operator.dev/v1alpha1',
  kind: 'CopilotSession',
  metadata: { name, namespace: 'team', creationTimestamp: since, ...metadata },
  spec: sessionSpec.parse({ tenantRef: { name: 'acme' }, ...spec }),
});

const policiesOf = (sessions: readonly CopilotSession[]): unknown =>
  JSON.parse(sessionsConfigMap(sampleTenant({ sessions: { ttl: '24h' } }), sessions).data?.['policies.json'] ?? '');

describe('the sessions in the ConfigMap', () => {
  it.each<[string, Partial<CopilotSessionSpecInput>, object]>([
    ['a persistent one is kept forever', {}, { one: { keep: true } }],
    ['one with a longer TTL is kept that long', { ttl: '48h' }, { one: { ttlSeconds: 172_800, since } }],
    [
      'one with a shorter TTL too: a run in progress may have a shorter one',
      { ttl: '1h' },
      { one: { ttlSeconds: 3600, since } },
    ],
    ['an ephemeral one has an hour', { lifecycle: 'Ephemeral' }, { one: { ttlSeconds: 3600, since } }],
    [
      'an ephemeral one with a TTL has that',
      { lifecycle: 'Ephemeral', ttl: '72h' },
      { one: { ttlSeconds: 259_200, since } },
    ],
    ['one is listed by its id, not by its name', { sessionId: 'Chat_1' }, { Chat_1: { keep: true } }],
  ])('%s', (_, spec, sessions) => {
    expect(policiesOf([session('one', spec)])).toEqual({ sessions });
  });

  it('are those of the older resource when two have the same id', () => {
    const younger = session('a', { sessionId: 'x', ttl: '96h' }, { creationTimestamp: '2026-01-02T00:00:00Z' });
    const older = session('b', { sessionId: 'x', ttl: '48h' });
    for (const order of [
      [younger, older],
      [older, younger],
    ]) {
      expect(policiesOf(order)).toEqual({ sessions: { x: { ttlSeconds: 172_800, since } } });
    }
  });

  it('have the same text in any order', () => {
    const sessions = ['b', 'A', '10', '9', 'a'].map((name) => session(name.toLowerCase(), { sessionId: name }));
    const text = (list: readonly CopilotSession[]) => sessionsConfigMap(sampleTenant(), list).data;
    expect(text(sessions.toReversed())).toEqual(text(sessions));
  });
});
