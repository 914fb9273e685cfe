import { beforeEach, describe, expect, it } from '@jest/globals';
import { Pinger } from '../../../../src/servers/health/pinger.ts';
import { ServerRegistry } from '../../../../src/servers/registry.ts';
import type { HealthSettings, ServerHealth, ServerTarget } from '../../../../src/servers/server.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeNetwork, type FakeServer } from '../../../support/fake-network.ts';
import { healthSettings, serverTarget } from '../../../support/servers.ts';

let clock: FakeClock;
let network: FakeNetwork;
let server: FakeServer;
let servers: ServerRegistry;
let pinger: Pinger;
let transitions: [string, ServerHealth][];
let observed: [string, string, number][];
let errors: unknown[];

beforeEach(() => {
  clock = new FakeClock();
  network = new FakeNetwork();
  server = network.add('acme-0');
  observed = [];
  errors = [];
  // The same sequence in every run; any will do.
  let seed = 1;
  const random = () => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  servers = new ServerRegistry({ clock, random, dial: network.dial });
  pinger = new Pinger({
    servers,
    log: { info: () => undefined, error: (...args: unknown[]) => errors.push(args) },
    observe: (...check) => observed.push(check),
  });
  transitions = [];
  pinger.onTransition((key, health) => transitions.push([key, health]));
});

const target = (changes: Partial<ServerTarget & HealthSettings> = {}): ServerTarget => {
  const { intervalMs, timeoutMs, failureThreshold, ...others } = { ...healthSettings(), ...changes };
  return serverTarget({ health: { intervalMs, timeoutMs, failureThreshold }, ...others });
};
const states = () => transitions.map(([, health]) => (health.state === 'Unhealthy' ? health.reason : health.state));

async function watchHealthy(): Promise<void> {
  servers.set(target());
  await clock.advance(100);
  expect(states()).toEqual(['Healthy']);
}

describe('a server that answers', () => {
  it('is reported Healthy once, within 100 ms, with its version', async () => {
    expect(pinger.get('team/acme-0')).toEqual({ state: 'Unknown' });
    servers.set(target());
    await clock.advance(100);
    const health = { state: 'Healthy', version: '1.0.102', since: expect.any(Number) };
    expect(transitions).toEqual([['team/acme-0', health]]);
    expect(pinger.get('team/acme-0')).toEqual(health);
    await clock.advance(3_600_000);
    expect(transitions).toHaveLength(1);
  });

  it('is pinged at its interval over one connection, and its version is read once', async () => {
    await watchHealthy();
    await clock.advance(1_000_000);
    expect([server.dials, server.calls('connect'), server.calls('status.get')]).toEqual([1, 1, 1]);
    // 100 intervals, each with a jitter of a tenth.
    expect(server.calls('ping')).toBeGreaterThan(97);
    expect(server.calls('ping')).toBeLessThan(104);
  });

  it.each([5, 10, 29, 30, 31, 45, 60, 120, 300])('is pinged at an interval of %d s, too', async (seconds) => {
    servers.set(target({ intervalMs: seconds * 1000 }));
    await clock.advance(100 * seconds * 1000);
    // A long wait ends up to 2 s later, together with others, and none is skipped because of that.
    expect(server.calls('ping')).toBeGreaterThan(93);
    expect(server.calls('ping')).toBeLessThan(104);
  });

  it('has each ping observed', async () => {
    await watchHealthy();
    await clock.advance(30_000);
    expect(observed.length).toBe(server.calls('ping'));
    expect(new Set(observed.map(([key, result]) => `${key} ${result}`))).toEqual(new Set(['team/acme-0 Healthy']));
  });

  it('is not checked again when it is set with the same values', async () => {
    await watchHealthy();
    for (let again = 0; again < 10; again += 1) servers.set(target());
    await clock.advance(1000);
    expect([server.dials, server.calls('ping'), transitions.length]).toEqual([1, 1, 1]);
  });

  it('is reported again when it comes back with another version', async () => {
    await watchHealthy();
    server.version = '1.0.103';
    server.cut();
    await clock.advance(1000);
    expect(transitions.map(([, health]) => health)).toMatchObject([{ version: '1.0.102' }, { version: '1.0.103' }]);
  });
});

describe('a server that fails', () => {
  it.each([
    ['refuses', 'Unreachable', 'nothing listens on the port'],
    ['blackhole', 'Unreachable', 'no TCP connection within 5000 ms'],
    ['silent', 'Timeout', 'did not answer "connect" within 5000 ms'],
  ] as const)(
    'because it %s is reported %s after three intervals, not before, and Healthy when it is back',
    async (...row) => {
      const [behaviour, reason, message] = row;
      await watchHealthy();
      server.behaviour = behaviour;
      if (behaviour !== 'silent') server.cut('ECONNRESET');
      await clock.advance(16_000);
      expect(states()).toEqual(['Healthy']);
      await clock.advance(24_000);
      expect(states()).toEqual(['Healthy', reason]);
      expect(pinger.get('team/acme-0')).toMatchObject({ message: expect.stringContaining(message) as unknown });
      await clock.advance(600_000);
      expect(states()).toEqual(['Healthy', reason]);
      server.behaviour = 'answers';
      await clock.advance(17_000);
      expect(states()).toEqual(['Healthy', reason, 'Healthy']);
      expect(server.wires.size).toBe(1);
    },
  );

  it('with a wrong token is reported AuthFailed, and Healthy as soon as the right one is set', async () => {
    servers.set(target({ token: 'old' }));
    await clock.advance(30_000);
    expect(states()).toEqual(['AuthFailed']);
    expect(JSON.stringify(transitions)).not.toContain('"old"');
    servers.set(target());
    await clock.advance(100);
    expect(states()).toEqual(['AuthFailed', 'Healthy']);
  });

  it('because something else listens there is reported ProtocolError', async () => {
    server.answers['connect'] = () => {
      server.sendRaw('HTTP/1.1 400 Bad Request\r\n\r\n');
      return undefined;
    };
    servers.set(target());
    await clock.advance(30_000);
    expect(states()).toEqual(['ProtocolError']);
    expect(pinger.get('team/acme-0')).toMatchObject({ message: expect.stringContaining('web server') as unknown });
  });

  it('because it answers something else than the protocol is reported ProtocolError', async () => {
    server.answers['status.get'] = () => ({ result: 'yes' });
    servers.set(target());
    await clock.advance(30_000);
    expect(states()).toEqual(['ProtocolError']);
  });

  it('single pings is never reported', async () => {
    await watchHealthy();
    const answer = server.answers['ping'];
    for (let round = 0; round < 20; round += 1) {
      server.answers['ping'] = () => undefined;
      await clock.advance(12_000);
      if (answer !== undefined) server.answers['ping'] = answer;
      await clock.advance(12_000);
    }
    expect(states()).toEqual(['Healthy']);
    expect(observed.some(([, result]) => result === 'Timeout')).toBe(true);
  });

  it('is reported at the first failure with a threshold of 1', async () => {
    servers.set(target({ failureThreshold: 1 }));
    await clock.advance(100);
    server.behaviour = 'refuses';
    server.cut();
    await clock.advance(10);
    expect(states()).toEqual(['Healthy', 'Unreachable']);
  });

  it('is connected again within a second after a restart of a second, and not reported', async () => {
    await watchHealthy();
    server.behaviour = 'refuses';
    server.cut();
    await clock.advance(1000);
    server.behaviour = 'answers';
    await clock.advance(1000);
    expect(server.wires.size).toBe(1);
    expect(states()).toEqual(['Healthy']);
  });

  it('is dialled at a bounded rate, also when it accepts connections and closes them at once', async () => {
    const { answers } = server;
    const { ping } = answers;
    answers['ping'] = (request) => {
      setImmediate(() => server.cut());
      return ping?.(request);
    };
    servers.set(target());
    await clock.advance(600_000);
    // 60 intervals, and the quick tries at first.
    expect(server.dials).toBeLessThan(85);
    expect(server.wires.size).toBeLessThanOrEqual(1);
  });
});

describe('changed and removed servers', () => {
  it('are dialled at another address, and keep their health until the first check', async () => {
    await watchHealthy();
    const other = network.add('10.0.0.7');
    servers.set(target({ host: '10.0.0.7' }));
    expect(pinger.get('team/acme-0').state).toBe('Healthy');
    await clock.advance(100);
    expect([server.wires.size, other.wires.size]).toEqual([0, 1]);
    expect(states()).toEqual(['Healthy']);
  });

  it('start with no failures at another address', async () => {
    server.behaviour = 'refuses';
    servers.set(target());
    await clock.advance(11_000);
    servers.set(target({ port: 4322 }));
    await clock.advance(12_000);
    expect(states()).toEqual([]);
    await clock.advance(12_000);
    expect(states()).toEqual(['Unreachable']);
  });

  it('ignore the outcome of a check that started with the old values', async () => {
    server.behaviour = 'silent';
    servers.set(target({ failureThreshold: 1 }));
    await clock.advance(1000);
    server.behaviour = 'answers';
    servers.set(target({ failureThreshold: 1, port: 4322 }));
    await clock.advance(60_000);
    expect(states()).toEqual(['Healthy']);
  });

  it('keep their connection when only the interval changes, which applies from then on', async () => {
    await watchHealthy();
    servers.set(target({ intervalMs: 1000, timeoutMs: 500 }));
    await clock.advance(100_000);
    expect(server.dials).toBe(1);
    expect(server.calls('ping')).toBeGreaterThan(90);
  });

  it('leave nothing behind when they are removed: no socket, no timer, no call, no transition', async () => {
    await watchHealthy();
    servers.remove('team/acme-0');
    servers.remove('team/acme-0');
    expect(pinger.get('team/acme-0')).toEqual({ state: 'Unknown' });
    await clock.advance(60_000);
    expect([server.wires.size, clock.pendingTimers, server.calls('ping'), transitions.length]).toEqual([0, 0, 1, 1]);
  });

  it.each([
    ['before the first dial', 'answers', 0],
    ['while the TCP connection is made', 'blackhole', 1000],
    ['while the answer is awaited', 'silent', 1000],
    ['while the next try is awaited', 'refuses', 1000],
  ] as const)('may be removed %s', async (_, behaviour, after) => {
    server.behaviour = behaviour;
    servers.set(target());
    await clock.advance(after);
    servers.remove('team/acme-0');
    const { dials } = server;
    await clock.advance(60_000);
    expect([server.wires.size, clock.pendingTimers, transitions.length, server.dials]).toEqual([0, 0, 0, dials]);
  });

  it('may be removed by the listener that is notified', async () => {
    pinger.onTransition((key) => servers.remove(key));
    await watchHealthy();
    await clock.advance(60_000);
    expect([server.wires.size, clock.pendingTimers]).toEqual([0, 0]);
  });
});

describe('the pinger', () => {
  it('notifies all listeners, also when one of them throws, and logs that', async () => {
    const other: string[] = [];
    const broken = new Error('broken');
    pinger.onTransition(() => {
      throw broken;
    });
    pinger.onTransition((key) => other.push(key));
    await watchHealthy();
    expect(other).toEqual(['team/acme-0']);
    expect(errors).toMatchObject([[{ err: broken, server: 'team/acme-0' }, expect.any(String)]]);
    await clock.advance(20_000);
    expect(server.calls('ping')).toBeGreaterThan(1);
  });

  it('counts servers by state', async () => {
    network.add('acme-1').behaviour = 'silent';
    for (const n of [0, 1, 2]) servers.set(target({ key: `team/acme-${n}`, host: `acme-${n}`, failureThreshold: 1 }));
    servers.set(target({ key: 'team/other', host: 'acme-0', token: 'wrong' }));
    await clock.advance(6000);
    const expected = { Healthy: 1, Timeout: 1, Unreachable: 1, Unknown: 1 };
    expect(Object.fromEntries(pinger.counts())).toEqual(expected);
  });

  it('closes everything at the end', async () => {
    for (let n = 0; n < 50; n += 1) servers.set(target({ key: `team/acme-${n}` }));
    await clock.advance(300);
    expect(server.wires.size).toBe(50);
    servers.close();
    await clock.advance(60_000);
    expect([server.wires.size, clock.pendingTimers]).toEqual([0, 0]);
    expect(() => servers.set(target())).toThrow('set(team/acme-0) after close()');
  });
});

describe('a thousand servers', () => {
  const count = 1000;

  /** Calls in each second of the next ones. */
  async function perSecond(method: string, seconds: number): Promise<number[]> {
    const counts: number[] = [];
    for (let second = 0; second < seconds; second += 1) {
      const before = method === 'dial' ? server.dials : server.calls(method);
      await clock.advance(1000);
      counts.push((method === 'dial' ? server.dials : server.calls(method)) - before);
    }
    return counts;
  }

  function watchAll(): void {
    for (let n = 0; n < count; n += 1) servers.set(target({ key: `team/acme-${n}` }));
  }

  it('are dialled 200 a second when they come at once, and all healthy within an interval', async () => {
    watchAll();
    const dials = await perSecond('dial', 6);
    expect(Math.max(...dials)).toBeLessThanOrEqual(221);
    expect(pinger.counts()).toEqual(new Map([['Healthy', count]]));
  });

  it('are pinged evenly afterwards', async () => {
    watchAll();
    await clock.advance(60_000);
    const pings = await perSecond('ping', 10);
    expect(Math.max(...pings)).toBeLessThan(250);
  });

  it('are not pinged in a burst after the process was paused', async () => {
    watchAll();
    await clock.advance(60_000);
    const before = server.calls('ping');
    await clock.pause(20_000);
    expect(server.calls('ping') - before).toBeLessThan(100);
    const pings = await perSecond('ping', 11);
    expect(Math.max(...pings)).toBeLessThan(250);
    expect(pings.reduce((sum, count) => sum + count)).toBeGreaterThan(count * 0.9);
    expect(transitions).toHaveLength(count);
  });

  it('that are all lost are dialled at the pace, and each is reported once', async () => {
    watchAll();
    await clock.advance(60_000);
    server.behaviour = 'refuses';
    server.cut('ECONNRESET');
    const dials = await perSecond('dial', 60);
    expect(Math.max(...dials)).toBeLessThanOrEqual(221);
    expect(pinger.counts()).toEqual(new Map([['Unreachable', count]]));
    expect(transitions).toHaveLength(count * 2);
  });
});

/** The server answers the method with an error. */
function refuse(method: string, code: number): void {
  server.answers[method] = () => ({ error: { code, message: 'no' } });
}

describe('a server that answers with an error', () => {
  it.each([
    ['ping', -32_601, { version: '1.0.102', lacks: ['ping'] }],
    ['ping', -32_603, { version: '1.0.102' }],
    ['ping', -32_000, { version: '1.0.102' }],
    ['status.get', -32_601, { version: undefined, lacks: ['status.get'] }],
    ['status.get', -32_603, { version: undefined }],
  ])('to %s (%d) is Healthy, and what it can not do is reported once', async (method, code, expected) => {
    refuse(method, code);
    servers.set(target());
    await clock.advance(3_600_000);
    expect(transitions).toEqual([['team/acme-0', { state: 'Healthy', since: expect.any(Number), ...expected }]]);
    expect(server.dials).toBe(1);
  });

  it('is not asked for its version at each check when it lacks the method', async () => {
    refuse('status.get', -32_601);
    servers.set(target());
    await clock.advance(100_000);
    expect(server.calls('status.get')).toBe(1);
    expect(server.calls('ping')).toBeGreaterThan(8);
  });

  it('keeps its version when only a later connection fails to report it', async () => {
    await watchHealthy();
    refuse('status.get', -32_603);
    server.cut();
    await clock.advance(100_000);
    expect(transitions).toHaveLength(1);
    expect(pinger.get('team/acme-0')).toMatchObject({ version: '1.0.102' });
  });

  it('is reported with what it lacks, over lost connections, until it answers that', async () => {
    const answer = server.answers['status.get'];
    refuse('status.get', -32_601);
    servers.set(target());
    await clock.advance(100);
    for (let loss = 0; loss < 5; loss += 1) {
      server.cut();
      await clock.advance(30_000);
    }
    expect(transitions).toHaveLength(1);
    if (answer !== undefined) server.answers['status.get'] = answer;
    server.cut();
    await clock.advance(30_000);
    expect(transitions[1]).toEqual([
      'team/acme-0',
      { state: 'Healthy', version: '1.0.102', since: expect.any(Number) },
    ]);
  });

  it.each([-32_001, -32_002])('that is about the token (%d) is AuthFailed', async (code) => {
    refuse('ping', code);
    servers.set(target());
    await clock.advance(100_000);
    expect(states()).toEqual(['AuthFailed']);
  });

  it('that says that it shuts down is Unreachable', async () => {
    server.answers['ping'] = () => ({ error: { code: -32_000, message: 'SERVER_SHUTTING_DOWN' } });
    servers.set(target());
    await clock.advance(100_000);
    expect(states()).toEqual(['Unreachable']);
  });
});

describe('a server that cannot write to its volume', () => {
  const isReadOnly = (): void => {
    server.answers['sessions.bulkDelete'] = () => ({ result: { freedBytes: {} } });
    server.answers['session.create'] = () => ({ error: { code: -32_603, message: 'EROFS: Read-only file system' } });
  };
  const writeErrors = () => transitions.map(([, health]) => health.state === 'Healthy' && health.writeError);

  it('is reported so with the first ping, and never as one that can', async () => {
    isReadOnly();
    servers.set(target());
    await clock.advance(3_600_000);
    expect(writeErrors()).toEqual(['EROFS']);
    expect(server.dials).toBe(1);
  });

  it('is found within five minutes if its file system becomes read-only, and its repair with the next ping', async () => {
    await watchHealthy();
    const writable = server.answers['sessions.bulkDelete'];
    isReadOnly();
    await clock.advance(5 * 60_000 + 11_000);
    expect(writeErrors()).toEqual([undefined, 'EROFS']);
    if (writable !== undefined) server.answers['sessions.bulkDelete'] = writable;
    await clock.advance(11_000);
    expect(writeErrors()).toEqual([undefined, 'EROFS', undefined]);
  });

  it('stays reported over a lost connection, after which the check is not answered', async () => {
    isReadOnly();
    servers.set(target());
    await clock.advance(100);
    server.answers['sessions.bulkDelete'] = () => undefined;
    server.cut();
    await clock.advance(100_000);
    expect(writeErrors()).toEqual(['EROFS']);
  });

  it('is asked once in five minutes while it can write, and for each new connection', async () => {
    await watchHealthy();
    await clock.advance(3_600_000);
    expect(server.calls('sessions.bulkDelete')).toBeGreaterThan(11);
    expect(server.calls('sessions.bulkDelete')).toBeLessThanOrEqual(13);
    const before = server.calls('sessions.bulkDelete');
    server.cut();
    await clock.advance(20_000);
    expect(server.calls('sessions.bulkDelete')).toBe(before + 1);
  });

  it('is Healthy without an answer to the check, which costs no connection', async () => {
    server.answers['sessions.bulkDelete'] = () => undefined;
    servers.set(target());
    await clock.advance(3_600_000);
    expect(states()).toEqual(['Healthy']);
    expect(server.dials).toBe(1);
  });
});

describe('the pinger of a hostile server', () => {
  it('refuses its requests, ignores its notifications, and reports it Healthy', async () => {
    await watchHealthy();
    server.send({ jsonrpc: '2.0', id: 9, method: 'userInput.request', params: {} });
    server.send({ jsonrpc: '2.0', method: 'session.lifecycle', params: { type: 'created' } });
    await clock.advance(30_000);
    expect(server.received.filter(({ error }) => error?.code === -32601)).toHaveLength(1);
    expect([server.dials, transitions.length]).toEqual([1, 1]);
  });

  it('accepts no frame over 16 MiB', async () => {
    await watchHealthy();
    server.sendRaw(`Content-Length: ${16 * 1024 * 1024 + 1}\r\n\r\n`);
    expect(server.wires.size).toBe(0);
  });
});
