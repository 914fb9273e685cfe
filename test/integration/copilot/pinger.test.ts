// The pinger against the real Copilot CLI and the light runtime, on real time.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Pinger } from '../../../src/servers/health/pinger.ts';
import { ServerRegistry } from '../../../src/servers/registry.ts';
import type { ServerHealth, ServerTarget } from '../../../src/servers/server.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { cliVersion } from '../../support/copilot-binary.ts';
import { CopilotServer } from '../../support/copilot-server.ts';
import { serverTarget } from '../../support/servers.ts';
import { openSockets, socketsLeft } from '../../support/sockets.ts';

const token = 'f3b1c0ffee';
const socketsBefore = openSockets();

/** The transitions of one server, as they come. */
class Transitions {
  readonly reported: ServerHealth[] = [];
  #arrived: () => void = () => undefined;

  constructor(pinger: Pinger) {
    pinger.onTransition((_, health) => {
      this.reported.push(health);
      this.#arrived();
    });
  }

  /** Waits for the n-th transition, counted from 1. */
  async nth(n: number, deadlineMs = 20_000): Promise<ServerHealth> {
    const until = performance.now() + deadlineMs;
    for (;;) {
      const health = this.reported[n - 1];
      if (health !== undefined) return health;
      const left = until - performance.now();
      if (left <= 0)
        throw new Error(`no transition ${n} in ${deadlineMs} ms; reported: ${JSON.stringify(this.reported)}`);
      await new Promise<void>((resolve) => {
        const timer = systemClock.setTimer(left, resolve);
        this.#arrived = () => {
          timer.cancel();
          resolve();
        };
      });
    }
  }
}

describe.each(['cli', 'runtime'] as const)('the pinger of a real server (%s)', (binary) => {
  let server: CopilotServer;
  let servers: ServerRegistry;
  let pinger: Pinger;
  let transitions: Transitions;
  let observed: string[];

  beforeEach(async () => {
    server = await CopilotServer.start(binary, token);
    observed = [];
    servers = new ServerRegistry({ clock: systemClock, random: Math.random });
    pinger = new Pinger({
      servers,
      log: { info: () => undefined, error: (...args: unknown[]) => expect(args).toBeUndefined() },
      observe: (_, result) => observed.push(result),
    });
    transitions = new Transitions(pinger);
  }, 90_000);
  afterEach(async () => {
    servers.close();
    await server[Symbol.asyncDispose]();
    await socketsLeft(socketsBefore);
  });

  const target = (changes: Partial<ServerTarget> = {}): ServerTarget =>
    serverTarget({
      host: server.host,
      port: server.port,
      token,
      health: { intervalMs: 1000, timeoutMs: 900, failureThreshold: 2 },
      ...changes,
    });

  it('reports Healthy, Unreachable when it is killed, and Healthy when it is started again', async () => {
    servers.set(target());
    expect(await transitions.nth(1)).toMatchObject({ state: 'Healthy', version: cliVersion() });
    await server.kill();
    expect(await transitions.nth(2)).toMatchObject({ state: 'Unhealthy', reason: 'Unreachable' });
    await server.start();
    expect(await transitions.nth(3)).toMatchObject({ state: 'Healthy', version: cliVersion() });
    expect(pinger.get('team/acme-0')).toBe(transitions.reported[2]);
  }, 120_000);

  it('reports Timeout while the server is paused, and Healthy when it continues', async () => {
    servers.set(target());
    await transitions.nth(1);
    await server.freeze();
    try {
      expect(await transitions.nth(2)).toMatchObject({ state: 'Unhealthy', reason: 'Timeout' });
    } finally {
      server.thaw();
    }
    expect(await transitions.nth(3)).toMatchObject({ state: 'Healthy' });
  }, 60_000);

  it('reports AuthFailed with a wrong token, and Healthy as soon as the right one is set', async () => {
    servers.set(target({ token: 'stale' }));
    expect(await transitions.nth(1)).toMatchObject({ state: 'Unhealthy', reason: 'AuthFailed' });
    expect(JSON.stringify(transitions.reported)).not.toContain('stale');
    servers.set(target());
    expect(await transitions.nth(2)).toMatchObject({ state: 'Healthy' });
  }, 60_000);

  it('reports nothing when the operator itself was paused for several time-outs', async () => {
    // Far more than a loaded machine's server takes, far less than the pauses.
    servers.set(target({ health: { intervalMs: 2000, timeoutMs: 1500, failureThreshold: 2 } }));
    await transitions.nth(1);
    const before = observed.length;
    for (let pause = 0; pause < 3; pause += 1) {
      const until = performance.now() + 3000;
      while (performance.now() < until);
      const pings = observed.length;
      while (observed.length === pings) await systemClock.sleep(20);
    }
    expect(observed.length).toBeGreaterThanOrEqual(before + 3);
    expect(new Set(observed)).toEqual(new Set(['Healthy']));
    expect(transitions.reported).toHaveLength(1);
  }, 60_000);
});
