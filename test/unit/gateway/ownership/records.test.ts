import { beforeEach, describe, expect, it } from '@jest/globals';
import { CachedRecords, slimSession } from '../../../../src/gateway/ownership/records.ts';
import { SESSION_INDEXERS } from '../../../../src/resources/session-index.ts';
import { CopilotSession } from '../../../../src/resources/session.ts';
import { FakeInformer } from '../../../support/fake-informer.ts';
import { sampleSession } from '../../../support/sessions.ts';
import { TENANT } from '../../../support/static-fleet.ts';

let informer: FakeInformer<CopilotSession>;
let records: CachedRecords;
let changed: string[];

beforeEach(() => {
  informer = new FakeInformer<CopilotSession>(CopilotSession, { indexers: SESSION_INDEXERS });
  records = new CachedRecords(informer);
  changed = [];
  records.onChange(({ namespace, name }) => void changed.push(`${namespace}/${name}`));
});

describe('what CopilotSessions say of an id', () => {
  it('is its owner and the participants, by the id or the name of the resource', () => {
    informer.set(sampleSession({ owner: 'alice', participants: ['bob'] }));
    informer.set(sampleSession({ owner: 'carol', sessionId: 'other' }, { name: 'beta', uid: 'b' }));
    expect(records.find(TENANT, 'alpha')).toEqual({ owner: 'alice', participants: ['bob'] });
    expect(records.find(TENANT, 'other')).toEqual({ owner: 'carol', participants: [] });
    expect(records.find(TENANT, 'beta')).toBeUndefined();
  });

  it('is the model and the compaction of the session, as the CLI takes them', () => {
    const infiniteSessions = { enabled: true, backgroundCompactionThreshold: 55, bufferExhaustionThreshold: 90 };
    informer.set(slimSession(sampleSession({ owner: 'alice', model: 'large', infiniteSessions })));
    expect(records.find(TENANT, 'alpha')?.settings).toEqual({
      model: 'large',
      infiniteSessions: { enabled: true, backgroundCompactionThreshold: 0.55, bufferExhaustionThreshold: 0.9 },
    });
  });

  it('is how its users share its turns', () => {
    informer.set(slimSession(sampleSession({ owner: 'alice', collaboration: { turns: 'Queue' } })));
    expect(records.find(TENANT, 'alpha')?.settings).toEqual({ turns: 'Queue' });
    informer.set(slimSession(sampleSession({ owner: 'alice', collaboration: {} })));
    expect(records.find(TENANT, 'alpha')?.settings).toBeUndefined();
  });

  it('is neither while the operator finds that it does not hold the session', () => {
    const stalled = (status: 'True' | 'False', reason: string) => ({
      conditions: [{ type: 'Stalled', status, reason, message: '', lastTransitionTime: '2026-01-02T03:04:05Z' }],
    });
    const settingsWith = (status: CopilotSession['status']) => {
      informer.set(slimSession(sampleSession({ model: 'large' }, {}, status)));
      return records.find(TENANT, 'alpha')?.settings;
    };
    expect(settingsWith(stalled('True', 'OwnedByAnother'))).toBeUndefined();
    expect(settingsWith(stalled('False', 'NotStalled'))).toEqual({ model: 'large' });
    expect(settingsWith(undefined)).toEqual({ model: 'large' });
  });

  it('concerns their own tenant and namespace', () => {
    informer.set(sampleSession({ owner: 'alice' }));
    expect(records.find({ ...TENANT, name: 'another' }, 'alpha')).toBeUndefined();
    expect(records.find({ ...TENANT, namespace: 'another' }, 'alpha')).toBeUndefined();
  });

  it('is what the oldest of several says, as for the operator, until it is deleted', () => {
    const first = sampleSession({ owner: 'alice' });
    const later = { name: 'beta', uid: 'b', creationTimestamp: '2026-01-03T00:00:00Z' };
    informer.set(first);
    informer.set(sampleSession({ owner: 'bob', sessionId: 'alpha' }, later));
    expect(records.find(TENANT, 'alpha')?.owner).toBe('alice');
    informer.set({ ...first, metadata: { ...first.metadata, deletionTimestamp: '2026-01-04T00:00:00Z' } });
    expect(records.find(TENANT, 'alpha')?.owner).toBe('bob');
  });

  it('is told on when it changes', () => {
    informer.set(sampleSession({ owner: 'alice' }));
    informer.set(sampleSession({ owner: 'alice', participants: ['bob'] }));
    informer.delete(sampleSession());
    expect(changed).toEqual(['team/acme', 'team/acme', 'team/acme']);
  });

  it('is kept without what else the resource has', () => {
    const session = sampleSession(
      { owner: 'alice', participants: ['bob'], ttl: '1h' },
      { labels: { a: 'b' } },
      { phase: 'Idle' },
    );
    const slim = slimSession(session);
    expect(slim.spec).toEqual({
      tenantRef: { name: 'acme' },
      owner: 'alice',
      participants: ['bob'],
      lifecycle: 'Persistent',
      deletionPolicy: 'Delete',
    });
    expect(slim.status).toEqual({ phase: 'Idle' });
    expect(slim.metadata.labels).toBeUndefined();
  });
});
