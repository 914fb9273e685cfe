import { expect, it } from '@jest/globals';
import { RefusalLog } from '../../../src/guard/refusal-log.ts';
import { FakeClock } from '../../support/fake-clock.ts';

it('has a line for the first refusal of a rule in each minute, with how many there were since the one before', async () => {
  const clock = new FakeClock();
  const lines: unknown[] = [];
  const refusals = new RefusalLog({ info: (...args: unknown[]) => void lines.push(args) } as never, clock);
  const refuse = (rule: 'NoGrant' | 'Malformed'): void => refusals.refused('session.send', { rule, message: 'no' });
  for (let count = 0; count < 1_000; count += 1) refuse('NoGrant');
  refuse('Malformed');
  await clock.advance(59_999);
  refuse('NoGrant');
  expect(lines.splice(0)).toEqual([
    [{ method: 'session.send', rule: 'NoGrant' }, 'refused a call: no'],
    [{ method: 'session.send', rule: 'Malformed' }, 'refused a call: no'],
  ]);
  await clock.advance(1);
  refuse('NoGrant');
  expect(lines).toEqual([[{ method: 'session.send', rule: 'NoGrant', notLogged: 1_000 }, 'refused a call: no']]);
});

it('has little of what a client chooses', () => {
  const lines: unknown[] = [];
  const refusals = new RefusalLog({ info: (...args: unknown[]) => void lines.push(args) } as never, new FakeClock());
  const method = 'x'.repeat(4_096);
  refusals.refused(method, { rule: 'NotAllowed', message: `${method}: no` });
  expect(JSON.stringify(lines).length).toBeLessThan(1_000);
});
