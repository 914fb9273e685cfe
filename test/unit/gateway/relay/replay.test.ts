import { describe, expect, it } from '@jest/globals';
import { ReplayRecord } from '../../../../src/gateway/relay/replay.ts';

const INTEREST = 'session.eventLog.registerInterest';
const RULES = 'session.permissions.modifyRules';

function recorded(calls: readonly (readonly [method: string, params: object, result?: object])[]): ReplayRecord {
  const record = new ReplayRecord();
  for (const [method, params, result = {}] of calls) record.keep(method, params, result);
  return record;
}

describe('what a server is told again', () => {
  it('of most methods the last call, of options one patch, in the order of the last calls', () => {
    const record = recorded([
      ['session.permissions.setRequired', { required: true }],
      ['session.options.update', { a: 1, b: 1 }],
      ['session.permissions.setApproveAll', { enabled: true }],
      ['session.options.update', { b: 2 }],
      ['session.permissions.setRequired', { required: false }],
    ]);
    expect(record.calls).toEqual([
      { method: 'session.permissions.setApproveAll', params: { enabled: true } },
      { method: 'session.options.update', params: { a: 1, b: 2 } },
      { method: 'session.permissions.setRequired', params: { required: false } },
    ]);
  });

  it.each(['session.permissions.configure', RULES, 'session.permissions.paths.add', 'session.provider.add'])(
    'every %s, in order, and the same one once',
    (method) => {
      const calls = ['x', 'y', 'z', 'x'].map((add) => [method, { add }] as const);
      expect(recorded(calls).calls.map(({ params }) => params)).toEqual([{ add: 'y' }, { add: 'z' }, { add: 'x' }]);
    },
  );

  it('interests of which a registration was not released', () => {
    const record = recorded([
      [INTEREST, { eventType: 'x' }, { handle: 1 }],
      [INTEREST, { eventType: 'x' }, { handle: 2 }],
      [INTEREST, { eventType: 'y' }, { handle: 3 }],
      ['session.eventLog.releaseInterest', { handle: 1 }],
      ['session.eventLog.releaseInterest', { handle: 3 }],
    ]);
    expect(record.calls).toEqual([{ method: INTEREST, params: { eventType: 'x' } }]);
  });

  it('is bounded by number and by size, and known to be incomplete then', () => {
    const many = recorded(Array.from({ length: 1024 }, (_, n) => [RULES, { add: n }] as const));
    expect([many.calls.length, many.overflowed]).toEqual([1024, false]);
    many.keep(RULES, { add: 'more' }, {});
    expect([many.calls.length, many.overflowed]).toEqual([1024, true]);
    const large = 'x'.repeat(3 * 1024 * 1024);
    const options = recorded([['session.options.update', { a: large }]]);
    expect(options.overflowed).toBe(false);
    options.keep('session.options.update', { b: large }, {});
    expect(options.overflowed).toBe(true);
  });

  it('of interests is bounded without harm', () => {
    const record = recorded(Array.from({ length: 3000 }, (_, n) => [INTEREST, { eventType: `${n}` }] as const));
    expect([record.calls.length, record.overflowed]).toEqual([1024, false]);
  });
});
