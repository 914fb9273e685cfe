import { describe, expect, it } from '@jest/globals';
import { merged } from '../../../../src/gateway/relay/listing/merge.ts';

const session = (sessionId: string, modifiedTime: string, more: object = {}) => ({ sessionId, modifiedTime, ...more });

describe('the answers of several servers', () => {
  it('that list sessions become one list, the newest first, each session once as the server says it that says most', () => {
    const [a, b] = [session('a', '2026-01-01T00:00:01Z'), session('b', '2026-01-01T00:00:03Z')];
    const [c, more] = [session('c', '2026-01-01T00:00:02Z'), session('a', '2026-01-01T00:00:04Z', { name: 'x' })];
    expect(merged('Sessions', [{ sessions: [a, b], more: 1 }, { sessions: [c, more] }, null])).toEqual({
      sessions: [more, b, c],
      more: 1,
    });
  });

  it('that have an entry for each id keep their order, and that of the server which has the session counts', () => {
    const missing = (sessionId: string) => ({ sessionId, status: 'notFound' });
    const found = (sessionId: string) => ({ sessionId, status: 'ok', metadata: {} });
    const results = [
      [missing('a'), found('b'), missing('c')],
      [found('a'), missing('b'), missing('c')],
    ];
    expect(merged('Entries', results)).toEqual([found('a'), found('b'), missing('c')]);
  });

  it('that say in a field what they have become one with all of it', () => {
    expect(merged('Union', [{ sizes: { a: 1 } }, { sizes: { b: 2 } }])).toEqual({ sizes: { a: 1, b: 2 } });
    expect(merged('Union', [{ inUse: ['a'] }, { inUse: ['b', 'a'] }])).toEqual({ inUse: ['a', 'b'] });
    expect(merged('Union', [{}, { sessionId: 'a' }, { sessionId: 'b' }])).toEqual({ sessionId: 'a' });
    expect(merged('Union', [{ ok: true }, { ok: true }])).toEqual({ ok: true });
  });

  it('that name what is gone become those that all name: a server that failed to delete a session leaves it out', () => {
    const results = [{ freedBytes: { a: 5, none: 0 } }, { freedBytes: { a: 0, b: 0, none: 0 } }];
    expect(merged('Freed', results)).toEqual({ freedBytes: { a: 5, none: 0 } });
  });

  it.each(['Sessions', 'Entries', 'Union', 'Freed'] as const)('are as they are if there is one (%s)', (merge) => {
    const answer = { sessions: [session('a', '1'), session('b', '2')], x: [1, 1] };
    expect(merged(merge, [answer])).toBe(answer);
  });
});
