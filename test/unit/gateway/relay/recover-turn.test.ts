// A prompt that is sent to the next server, and what its session does if that comes to nothing.
import { describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { TimeoutError, UnreachableError, formatError } from '../../../../src/copilot/index.ts';
import { DEFAULT_LIMITS, type ServerAnswer, type SessionClient } from '../../../../src/gateway/relay/model.ts';
import { sendAgain } from '../../../../src/gateway/relay/failover/recover-turn.ts';
import { answerOf, lost } from '../../../../src/gateway/relay/server/server-answer.ts';
import { Session } from '../../../../src/gateway/relay/session/session.ts';
import { RelayMetrics } from '../../../../src/gateway/report/relay-metrics.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

/** A session of which a prompt is sent again, which ends so; and the types of the events that its client gets. */
async function sentAgain(answer: (session: Session) => ServerAnswer): Promise<{ session: Session; told: unknown[] }> {
  const clock = new FakeClock();
  const session = new Session('s', {
    limits: DEFAULT_LIMITS,
    observer: new RelayMetrics(new Registry()),
    permissionTimeoutMs: () => 1000,
    mayKeep: () => true,
    time: () => clock.now(),
    turnRule: () => undefined,
    now: () => clock.monotonic(),
    setTimer: (ms, fn) => clock.setTimer(ms, fn),
    answer: () => undefined,
    deny: () => undefined,
    onNobody: () => undefined,
    onUnused: () => undefined,
    onShutdown: () => undefined,
  });
  const told: unknown[] = [];
  const client: SessionClient = {
    id: 1,
    user: undefined,
    isEnded: false,
    gone: new AbortController().signal,
    deliver: (_, type) => void told.push(type),
    deliverPieces: () => undefined,
    ask: () => () => undefined,
  };
  session.attach(client, {});
  session.loaded();
  const prompt = session.prompts.sent('session.send', { prompt: 'p' }, session.trail.position, session.now, undefined);
  const sending = sendAgain(session, prompt, [], {
    call: () => Promise.reject(new Error('not called')),
    request: () => {
      session.events.take('assistant.message', body('assistant.message'));
      return Promise.resolve(answer(session));
    },
    idle: () => ({ type: 'session.idle', body: body('session.idle').toString() }),
  });
  await expect(sending).rejects.toThrow(/no answer|the server/);
  session.events.take('session.idle', body('session.idle'));
  return { session, told };
}

const body = (type: string) =>
  Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'session.event', params: { sessionId: 's', event: { type } } }));

describe('a session of which a prompt is sent again', () => {
  it.each([
    ['is not answered in time', () => lost(new TimeoutError('no answer within 1 ms'), true)],
    ['is refused, although it was acknowledged', () => answerOf(Buffer.from(formatError(1, -32603, 'no')), 1)],
  ])('tells its events all the same when that %s', async (_, answer) => {
    const { session, told } = await sentAgain(answer);
    expect(told).toEqual(['assistant.message', 'session.idle']);
    expect(session.events.passesPieces).toBe(true);
  });

  it('keeps those of the server that comes, when it is lost meanwhile, until it is loaded', async () => {
    const { session, told } = await sentAgain((found) => {
      found.lost();
      return lost(new UnreachableError('the server closed the connection'), true);
    });
    expect(told).toEqual([]);
    session.loaded();
    expect(told).toEqual(['session.idle']);
  });
});
