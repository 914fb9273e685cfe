import { describe, expect, it } from '@jest/globals';
import { ReplayRecord } from '../../../../src/gateway/relay/replay.ts';

describe('what a server is told again', () => {
  it('interests that were not released, options as one patch, and of other calls the last', () => {
    const record = new ReplayRecord();
    record.keep('session.mode.set', { mode: 'plan' });
    record.keep('session.options.update', { a: 1, b: 1 });
    record.keep('session.options.update', { b: 2 });
    record.keep('session.eventLog.registerInterest', { eventType: 'x' });
    record.keep('session.eventLog.registerInterest', { eventType: 'y' });
    record.keep('session.eventLog.releaseInterest', { eventType: 'x' });
    record.keep('session.mode.set', { mode: 'interactive' });
    expect(record.calls).toEqual([
      { method: 'session.eventLog.registerInterest', params: { eventType: 'y' } },
      { method: 'session.options.update', params: { a: 1, b: 2 } },
      { method: 'session.mode.set', params: { mode: 'interactive' } },
    ]);
  });

  it('is bounded', () => {
    const record = new ReplayRecord();
    for (let n = 0; n < 1000; n += 1) record.keep('session.eventLog.registerInterest', { eventType: `${n}` });
    expect(record.calls).toHaveLength(256);
  });
});

it('prompts are unfinished from their acknowledgement to the end of all turns', () => {
  const record = new ReplayRecord();
  const send = (messageId: string) => ({ messageId, method: 'session.send', params: { prompt: messageId } });
  record.acknowledged(send('1'));
  record.acknowledged(send('2'));
  expect(record.unfinished.map(({ messageId }) => messageId)).toEqual(['1', '2']);
  record.finished();
  expect(record.unfinished).toEqual([]);
});
