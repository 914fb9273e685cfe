import { describe, expect, it } from '@jest/globals';
import { ReplayRecord } from '../../../../src/gateway/relay/setup/replay.ts';

const INTEREST = 'session.eventLog.registerInterest';
const RULES = 'session.permissions.modifyRules';
const OPTIONS = 'session.options.update';
const APPROVE_ALL = 'session.permissions.setApproveAll';
const MODE = 'session.permissions.setMode';

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

  it('no option that another call has taken the place of, which is on the disk of the server', () => {
    const patch = { model: 'a', reasoningEffort: 'low', workingDirectory: '/a', clientName: 'x' };
    const after = (method: string) =>
      recorded([
        [OPTIONS, patch],
        [method, {}],
      ]).calls.map(({ params }) => params);
    expect(after('session.model.switchTo')).toEqual([{ workingDirectory: '/a', clientName: 'x' }]);
    expect(after('session.model.setReasoningEffort')).toEqual([
      { model: 'a', workingDirectory: '/a', clientName: 'x' },
    ]);
    expect(after('session.metadata.setWorkingDirectory')).toEqual([
      { model: 'a', reasoningEffort: 'low', clientName: 'x' },
    ]);
    const patchedAgain = recorded([
      ['session.model.switchTo', {}],
      [OPTIONS, { model: 'b' }],
    ]);
    expect(patchedAgain.calls).toEqual([{ method: OPTIONS, params: { model: 'b' } }]);
  });

  it('no directory that was patched after a move, at no later home either', () => {
    const moved = recorded([
      ['session.metadata.setWorkingDirectory', { workingDirectory: '/a' }],
      [OPTIONS, { model: 'b', workingDirectory: '/b' }],
    ]);
    expect(moved.calls).toEqual([{ method: OPTIONS, params: { model: 'b' } }]);
    const next = new ReplayRecord();
    for (const { method, params, result } of moved.kept) next.keep(method, params, result);
    next.keep(OPTIONS, { workingDirectory: '/c', clientName: 'x' }, {});
    expect(next.calls).toEqual([{ method: OPTIONS, params: { model: 'b', clientName: 'x' } }]);
  });

  it.each([
    ['setApproveAll', { enabled: true }],
    ['configure', { approveAllToolPermissionRequests: true }],
  ])('after a mode, that not everything is approved any more by %s', (method, params) => {
    const approves = `session.permissions.${method}`;
    const record = recorded([
      [approves, { sessionId: 's', ...params }],
      [MODE, { sessionId: 's', mode: 'manual' }],
    ]);
    expect(record.calls.at(-1)).toEqual({ method: APPROVE_ALL, params: { sessionId: 's', enabled: false } });
    record.keep(APPROVE_ALL, { sessionId: 's', enabled: true }, {});
    expect(record.calls.at(-1)).toEqual({ method: APPROVE_ALL, params: { sessionId: 's', enabled: true } });
  });

  it('nothing of a mode alone, which is on the disk of the server', () => {
    const record = recorded([[MODE, { mode: 'allow-all' }]]);
    expect([record.calls, record.restricts]).toEqual([[], false]);
  });

  it('that approvals were reset, behind the rules of before', () => {
    const RESET = 'session.permissions.resetSessionApprovals';
    const rules = (scope: string, add: string) => [RULES, { scope, add: [add] }] as const;
    const before = [rules('session', 'x'), rules('location', 'x')];
    const record = recorded([...before, [RESET, { sessionId: 's' }], rules('session', 'y')]);
    expect(record.calls.map(({ method, params }) => [method, params])).toEqual([
      rules('session', 'x'),
      // On the disk of the server, others may have approved it again since.
      [RESET, { sessionId: 's', includeLocation: false }],
      rules('session', 'y'),
    ]);
    const ofSession = recorded([...before, [RESET, { includeLocation: false }]]);
    expect(ofSession.calls.map(({ method }) => method)).toEqual([RULES, RULES, RESET]);
  });

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
