import { expect, it } from '@jest/globals';
import { pino } from 'pino';
import { LeadershipLostError } from '../../../src/kube/runtime/leader-election.ts';
import { Labeller } from '../../../src/session/labeller.ts';
import { SessionStates } from '../../../src/session/session-state.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { located, sampleSession } from '../../support/sessions.ts';

/** An attempt to store labels with a server that answers so. */
function attempt(label: () => Promise<boolean>) {
  const lines: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => void lines.push(line) });
  const labeller = new Labeller({ source: { label }, states: new SessionStates(), clock: new FakeClock() });
  const stop = new AbortController();
  const session = sampleSession({ owner: 'alice' });
  const done = labeller.label(session, located({ activity: 'Loaded' }), { signal: stop.signal, log });
  return { done, stop, lines };
}

it('a process that may not write any more does not blame the server for it', async () => {
  const { done, lines } = attempt(() => Promise.reject(new LeadershipLostError('write refused')));
  await expect(done).rejects.toThrow('write refused');
  expect(lines).toEqual([]);
});

it('a server that does not answer is not waited for by a process that stops', async () => {
  const { done, stop, lines } = attempt(() => new Promise(() => undefined));
  let ended: unknown;
  done.catch((error: unknown) => (ended = error));
  stop.abort();
  await settle();
  expect([ended, lines]).toEqual([stop.signal.reason, []]);
});

it('a server that fails is told, and tried again', async () => {
  const { done, lines } = attempt(() => Promise.reject(new Error('no answer')));
  expect(await done).toBeGreaterThan(0);
  expect(lines).toEqual([expect.stringContaining('failed to store the owner of a session')]);
});
