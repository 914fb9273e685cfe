// The one connection to a server, with the pinger and the survey on it at once.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { UnreachableError } from '../../../src/copilot/index.ts';
import { Pinger } from '../../../src/servers/health/pinger.ts';
import { ServerRegistry } from '../../../src/servers/registry.ts';
import type { ServerHealth } from '../../../src/servers/server.ts';
import { Survey } from '../../../src/servers/survey/survey.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { FakeNetwork, type FakeServer } from '../../support/fake-network.ts';
import { FakeSessions } from '../../support/fake-session-server.ts';
import { healthSettings, serverTarget } from '../../support/servers.ts';

const KEY = 'team/acme-0';
const LIST = 'sessions.list';
const TOO_LONG = `Content-Length: ${17 * 1024 * 1024}\r\n\r\n`;
let clock: FakeClock;
let network: FakeNetwork;
let server: FakeServer;
let sessions: FakeSessions;
let servers: ServerRegistry;
let pinger: Pinger;
let survey: Survey;
let transitions: string[];
let changes: (readonly string[])[];
let errors: unknown[];
let logged: string[];

beforeEach(() => {
  clock = new FakeClock();
  network = new FakeNetwork();
  server = network.add('acme-0');
  sessions = new FakeSessions(server, clock);
  sessions.turn('one');
  errors = [];
  logged = [];
  const log = {
    info: (...args: unknown[]) => logged.push(String(args[1])),
    error: (...args: unknown[]) => errors.push(args),
  };
  servers = new ServerRegistry({ clock, random: () => 0.5, dial: network.dial });
  pinger = new Pinger({ servers, log });
  survey = new Survey({ servers, log, labelKeys: ['owner'] });
  transitions = [];
  pinger.onTransition((_, health) => transitions.push(stateOf(health)));
  changes = [];
  survey.onChange((_, ids) => changes.push(ids));
});

const stateOf = (health: ServerHealth) => (health.state === 'Unhealthy' ? health.reason : health.state);
/** With the threshold at which a single failure would show. */
const target = (changed: Parameters<typeof serverTarget>[0] = {}) =>
  serverTarget({ health: healthSettings({ failureThreshold: 1 }), ...changed });

/** Both are connected to the server, and what happened until then is dropped. */
async function known(changed: Parameters<typeof target>[0] = {}): Promise<void> {
  servers.set(target(changed));
  await clock.advance(100);
  expect([pinger.get(KEY).state, survey.get(KEY)?.sessions.size]).toEqual(['Healthy', 1]);
  server.received.splice(0);
  transitions = [];
  changes = [];
}

/** The server leaves this method unanswered from now on. Returns how it answers again. */
function leaveUnanswered(method: string): () => void {
  const { answers } = server;
  const answer = answers[method];
  answers[method] = () => undefined;
  return () => {
    if (answer !== undefined) answers[method] = answer;
  };
}

/** Lets both make a request that is not answered. Returns how the server answers again. */
async function bothWait(): Promise<() => void> {
  // The poll that follows the hints before the first one is over then.
  await clock.advance(6000);
  const again = [leaveUnanswered('ping'), leaveUnanswered(LIST)];
  server.received.splice(0);
  for (let waited = 0; server.calls('ping') === 0; waited += 100) {
    if (waited > 33_000) throw new Error('no ping came');
    await clock.advance(100);
  }
  if (server.calls(LIST) === 0) {
    survey.refresh(KEY);
    await clock.advance(600);
  }
  expect([server.calls('ping'), server.calls(LIST)]).toEqual([1, 1]);
  return () => {
    for (const answer of again) answer();
  };
}

describe('one connection', () => {
  it('serves checks and polls, and is dialled once', async () => {
    await known();
    await clock.advance(600_000);
    expect([server.dials, server.wires.size, server.calls('connect'), server.calls('status.get')]).toEqual([
      1, 1, 0, 0,
    ]);
    expect(server.calls('ping')).toBeGreaterThan(55);
    expect(server.calls(LIST)).toBeGreaterThan(17);
    expect([transitions, changes]).toEqual([[], []]);
  });

  it('is dialled 200 times a second for a thousand servers, each once', async () => {
    for (let n = 0; n < 1000; n += 1) servers.set(target({ key: `team/acme-${n}` }));
    const dials: number[] = [];
    for (let second = 0; second < 6; second += 1) {
      const before = server.dials;
      await clock.advance(1000);
      dials.push(server.dials - before);
    }
    expect(Math.max(...dials)).toBeLessThanOrEqual(221);
    expect([server.dials, server.wires.size]).toEqual([1000, 1000]);
    expect(pinger.counts()).toEqual(new Map([['Healthy', 1000]]));
    expect(survey.counts().loaded).toBe(1000);
  });

  it('is dialled again for both after it was lost, and the version is read again', async () => {
    await known({ health: healthSettings() });
    server.version = '1.0.103';
    server.cut();
    await clock.advance(1000);
    expect([server.dials, server.wires.size, server.calls('status.get')]).toEqual([2, 1, 1]);
    expect(servers.get(KEY)?.version).toBe('1.0.103');
    expect([transitions, changes]).toEqual([['Healthy'], []]);
  });

  it('is checked by a pinger after the survey has dialled it', async () => {
    const other = new ServerRegistry({ clock, random: () => 0.5, dial: network.dial });
    const log = { info: () => undefined, error: () => undefined };
    const first = new Survey({ servers: other, log, labelKeys: [] });
    other.set(target());
    await clock.advance(100);
    expect(first.get(KEY)).toBeDefined();
    const late = new Pinger({ servers: other, log });
    await clock.advance(100);
    expect(late.get(KEY)).toMatchObject({ state: 'Healthy', version: '1.0.102' });
    expect(server.dials).toBe(1);
    other.close();
  });

  it('is replaced for both by another token or address', async () => {
    await known();
    server.token = 'rotated';
    servers.set(target({ token: 'rotated' }));
    await clock.advance(100);
    expect([server.dials, server.wires.size, server.calls('ping'), server.calls(LIST)]).toEqual([2, 1, 1, 1]);
    const other = network.add('10.0.0.7');
    Object.assign(other.answers, server.answers);
    other.token = 'rotated';
    servers.set(target({ token: 'rotated', host: '10.0.0.7' }));
    await clock.advance(100);
    expect([server.wires.size, other.wires.size]).toEqual([0, 1]);
    expect(transitions).toEqual([]);
  });

  it('learns which methods the server does not know, until there is a new connection', async () => {
    await known();
    const connection = servers.get(KEY)?.connection;
    const answer = server.answers['sessions.close'];
    delete server.answers['sessions.close'];
    expect(connection?.lacks('sessions.close')).toBe(false);
    await expect(survey.close(KEY, 'one')).rejects.toThrow('Unhandled method');
    expect([connection?.lacks('sessions.close'), connection?.lacks(LIST)]).toEqual([true, false]);
    expect(connection?.lackingMethods).toEqual(['sessions.close']);
    if (answer !== undefined) server.answers['sessions.close'] = answer;
    server.cut();
    await clock.advance(1000);
    expect(connection?.lacks('sessions.close')).toBe(false);
    // What was reported holds until the method is answered, or the process is another.
    expect(connection?.lackingMethods).toEqual(['sessions.close']);
    await survey.close(KEY, 'one');
    expect(connection?.lackingMethods).toEqual([]);
  });

  it('does not know the methods of a new process', async () => {
    await known();
    const connection = servers.get(KEY)?.connection;
    delete server.answers['sessions.close'];
    await expect(survey.close(KEY, 'one')).rejects.toThrow('Unhandled method');
    servers.set(target({ startedAt: clock.now() }));
    expect([connection?.lacks('sessions.close'), connection?.lackingMethods]).toEqual([false, []]);
  });
});

describe('a poll that fails', () => {
  it('by a time-out drops the connection, and does not count for the health', async () => {
    await known();
    const answerAgain = leaveUnanswered(LIST);
    survey.refresh(KEY);
    await clock.advance(40_000);
    expect(server.dials).toBeGreaterThan(1);
    answerAgain();
    await clock.advance(60_000);
    expect(transitions).toEqual([]);
    expect(survey.get(KEY)?.sessions.size).toBe(1);
  });

  it('while a ping is under way has the ping repeated at once', async () => {
    // The poll times out, after 10 s, before the check does.
    await known({ health: { intervalMs: 20_000, timeoutMs: 20_000, failureThreshold: 1 } });
    const answerAgain = await bothWait();
    answerAgain();
    await clock.advance(11_000);
    expect([server.dials, server.calls('ping')]).toEqual([2, 2]);
    expect(transitions).toEqual([]);
  });

  it('by a message that is too long does not count for the health', async () => {
    await known();
    const list = server.answers[LIST];
    server.answers[LIST] = () => {
      if (list !== undefined) server.answers[LIST] = list;
      server.sendRaw(TOO_LONG);
      return undefined;
    };
    survey.refresh(KEY);
    await clock.advance(3000);
    expect([server.dials, server.wires.size]).toEqual([2, 1]);
    await clock.advance(60_000);
    expect(transitions).toEqual([]);
  });

  it('by an error answer keeps the connection', async () => {
    await known();
    server.answers[LIST] = () => ({ error: { code: -32603, message: 'no such directory' } });
    await clock.advance(100_000);
    expect(survey.get(KEY)).toBeUndefined();
    expect([server.dials, server.wires.size, transitions]).toEqual([1, 1, []]);
  });
});

describe('a ping that fails', () => {
  it('drops the connection; the poll on it fails and is repeated, which is not reported', async () => {
    await known({ health: healthSettings() });
    const answerAgain = await bothWait();
    const closing = survey.close(KEY, 'one');
    const wires = [...server.wires];
    const refused = leaveUnanswered('sessions.close');
    await settle();
    refused();
    answerAgain();
    await clock.advance(6000);
    await expect(closing).resolves.toBeUndefined();
    expect(wires.some((wire) => server.wires.has(wire))).toBe(false);
    expect([server.dials, server.wires.size]).toEqual([2, 1]);
    expect(survey.get(KEY)?.at).toBeGreaterThan(clock.now() - 6000);
    expect([transitions, changes.flat()]).toEqual([[], ['one']]);
    expect(logged).toEqual(['server is Healthy']);
  });

  it('each time costs the survey a connection each time, and neither its answer nor a line in the log', async () => {
    await known({ health: healthSettings({ failureThreshold: 50 }) });
    server.answers['ping'] = () => ({ result: 'broken' });
    await clock.advance(120_000);
    expect(server.dials).toBeGreaterThan(10);
    expect(survey.get(KEY)?.at).toBeGreaterThan(clock.now() - 33_000);
    expect([transitions, changes, logged]).toEqual([[], [], ['server is Healthy']]);
  });

  it('fails operations under way with the reason', async () => {
    await known();
    leaveUnanswered('ping');
    leaveUnanswered('sessions.close');
    for (let waited = 0; server.calls('ping') === 0 && waited < 11_000; waited += 100) await clock.advance(100);
    const closing = survey.close(KEY, 'one').catch((error: unknown) => error);
    await clock.advance(5100);
    const error = await closing;
    expect(error).toBeInstanceOf(UnreachableError);
    expect(String(error)).toContain(
      'acme-0:4321: the connection was closed because another request on it failed: acme-0:4321: no answer to ping within 5000 ms',
    );
    expect(transitions).toEqual(['Timeout']);
  });

  it('with the end of a connection that a poll used counts when the next one fails too', async () => {
    await known();
    await bothWait();
    server.behaviour = 'refuses';
    server.cut('ECONNRESET');
    expect(transitions).toEqual([]);
    await clock.advance(500);
    expect(transitions).toEqual(['Unreachable']);
  });
});

it('the end of a connection that a poll used does not count for the health, but only once in a row', async () => {
  await known();
  leaveUnanswered(LIST);
  server.answers['ping'] = () => {
    server.cut('ECONNRESET');
    return undefined;
  };
  survey.refresh(KEY);
  for (let waited = 0; server.calls('ping') === 0 && waited < 11_000; waited += 100) await clock.advance(100);
  expect([server.dials, transitions]).toEqual([1, []]);
  await clock.advance(3000);
  expect(transitions).toEqual(['Unreachable']);
});

describe('a dial', () => {
  it('to a server that does not answer ends with the last user that waits for it', async () => {
    server.behaviour = 'silent';
    servers.set(target({ health: healthSettings({ intervalMs: 60_000, failureThreshold: 1 }) }));
    await clock.advance(5300);
    // The check has timed out, the poll has not.
    expect(pinger.get(KEY)).toMatchObject({
      reason: 'Timeout',
      message: 'acme-0:4321: the server accepted the connection but did not answer "connect" within 5000 ms',
    });
    expect([server.dials, server.wires.size]).toEqual([1, 1]);
    await clock.advance(5000);
    expect([server.dials, server.wires.size]).toEqual([1, 0]);
  });

  it('without a TCP connection is repeated, also while another user waits for it', async () => {
    server.behaviour = 'blackhole';
    servers.set(target());
    await clock.advance(60_000);
    const { dials } = server;
    // A dial of each user's own would end after 5 or 10 s.
    expect(dials).toBeGreaterThanOrEqual(6);
    server.behaviour = 'answers';
    await clock.advance(15_500);
    expect([pinger.get(KEY).state, server.wires.size]).toEqual(['Healthy', 1]);
  });

  it('that a poll started gives the check its own, longer time', async () => {
    server.behaviour = 'silent';
    servers.set(target({ health: { intervalMs: 60_000, timeoutMs: 60_000, failureThreshold: 1 } }));
    await clock.advance(15_000);
    expect([transitions, server.dials, server.wires.size]).toEqual([[], 1, 1]);
    server.behaviour = 'answers';
    server.send({ jsonrpc: '2.0', id: 1, result: { ok: true } });
    await clock.advance(100);
    expect([transitions, server.dials]).toEqual([['Healthy'], 1]);
  });

  it('leaves nothing behind when both time out at the same moment', async () => {
    server.behaviour = 'silent';
    servers.set(target({ health: { intervalMs: 60_000, timeoutMs: 10_000, failureThreshold: 1 } }));
    await clock.advance(10_000);
    expect(server.wires.size).toBe(1);
    await clock.advance(300);
    expect([server.dials, server.wires.size, transitions]).toEqual([1, 0, ['Timeout']]);
    servers.remove(KEY);
    await clock.advance(60_000);
    expect([server.wires.size, clock.pendingTimers]).toEqual([0, 0]);
  });
});

describe('a removed server', () => {
  it.each([
    ['before the first dial', 'answers', 0],
    ['while it is dialled', 'blackhole', 1000],
    ['while its answer is awaited', 'silent', 1000],
    ['while the next try is awaited', 'refuses', 1000],
  ] as const)('leaves nothing behind %s', async (_, behaviour, after) => {
    server.behaviour = behaviour;
    servers.set(target({ health: healthSettings() }));
    await clock.advance(after);
    servers.remove(KEY);
    const { dials } = server;
    await clock.advance(60_000);
    expect([server.wires.size, clock.pendingTimers, server.dials]).toEqual([0, 0, dials]);
    expect([transitions, changes, errors]).toEqual([[], [], []]);
  });

  it('leaves nothing behind with both in the middle of a request', async () => {
    await known();
    await bothWait();
    servers.remove(KEY);
    await clock.advance(60_000);
    expect([server.wires.size, clock.pendingTimers, server.dials]).toEqual([0, 0, 1]);
    expect([transitions, changes]).toEqual([[], [['one']]]);
  });

  it('may be removed by a listener of the pinger, which a failed ping has notified', async () => {
    await known();
    await clock.advance(1000);
    server.behaviour = 'silent';
    let removed = false;
    pinger.onTransition(() => servers.remove(KEY));
    survey.onChange(() => (removed = true));
    await clock.advance(120_000);
    expect([server.wires.size, clock.pendingTimers, transitions, removed]).toEqual([0, 0, ['Timeout'], true]);
  });

  it('may be removed by a listener that is notified of a lost connection', async () => {
    await known();
    pinger.onTransition(() => servers.remove(KEY));
    server.behaviour = 'refuses';
    server.cut('ECONNRESET');
    await clock.advance(60_000);
    expect([server.wires.size, clock.pendingTimers, transitions, changes]).toEqual([0, 0, ['Unreachable'], [['one']]]);
    expect(logged.filter((line) => line.startsWith('polling'))).toEqual([]);
  });

  it('may be removed by a listener of the survey, which a failed ping has notified', async () => {
    await known({ health: healthSettings({ failureThreshold: 50 }) });
    survey.onChange(() => (survey.get(KEY) === undefined ? servers.remove(KEY) : undefined));
    server.behaviour = 'silent';
    await clock.advance(200_000);
    expect(servers.get(KEY)).toBeUndefined();
    expect([server.wires.size, clock.pendingTimers, transitions, errors]).toEqual([0, 0, [], []]);
  });
});
