// The measured process of bench/pinger.ts: on request it pings servers in one of three ways.
import { connect } from 'node:net';
import type { ServerTarget } from '../../src/servers/server.ts';

export interface Order {
  targets: ServerTarget[];
}

/** Pings and round trips in ms since the last report; round trips only where they are measured. */
export interface Report {
  pings: number;
  roundTrips: Record<string, number[]>;
}

type Way = (targets: ServerTarget[], pinged: (key: string, ms: number) => void) => Promise<void>;

const ways: Record<string, () => Promise<Way>> = { pinger, bare, sdk };

/** The operator's own. Ready when every server was reported Healthy. */
async function pinger(): Promise<Way> {
  const [{ Pinger }, { ServerRegistry }, { systemClock }] = await Promise.all([
    import('../../src/servers/health/pinger.ts'),
    import('../../src/servers/registry.ts'),
    import('../../src/kube/clock/clock.ts'),
  ]);
  return (targets, pinged) =>
    new Promise((resolve, reject) => {
      let healthy = 0;
      const servers = new ServerRegistry({ clock: systemClock, random: Math.random });
      const instance = new Pinger({
        servers,
        log: { info: () => undefined, error: console.error },
        observe: (key, _, ms) => pinged(key, ms),
      });
      instance.onTransition((key, health) => {
        if (health.state !== 'Healthy') reject(new Error(`${key}: ${JSON.stringify(health)}`));
        healthy += 1;
        if (healthy === targets.length) resolve();
      });
      for (const target of targets) servers.set(target);
    });
}

/** The floor: as many sockets, the same bytes at the same rate, and the answers are dropped. */
async function bare(): Promise<Way> {
  const frame = (body: string): string => `Content-Length: ${body.length}\r\n\r\n${body}`;
  const ping = frame('{"jsonrpc":"2.0","id":2,"method":"ping","params":{}}');
  return async (targets, pinged) => {
    const open = targets.map(
      ({ key, host, port, token, health: { intervalMs } }) =>
        new Promise<void>((resolve, reject) => {
          const socket = connect({ host, port, noDelay: true });
          socket.on('error', reject);
          socket.write(frame(`{"jsonrpc":"2.0","id":1,"method":"connect","params":{"token":"${token}"}}`));
          socket.once('data', () => {
            socket.on('data', () => pinged(key, 0));
            setTimeout(() => setInterval(() => socket.write(ping), intervalMs), Math.random() * intervalMs);
            resolve();
          });
        }),
    );
    await Promise.all(open);
  };
}

/** The peer: what one would write with the SDK. */
async function sdk(): Promise<Way> {
  const { CopilotClient, RuntimeConnection } = await import('@github/copilot-sdk');
  return async (targets, pinged) => {
    // Twenty at a time, as the pinger's burst.
    const queue = targets.values();
    const connectNext = async (): Promise<void> => {
      for (const { key, host, port, token, health } of queue) {
        const client = new CopilotClient({
          connection: RuntimeConnection.forUri(`${host}:${port}`, { connectionToken: token }),
        });
        await client.start();
        const ping = async (): Promise<void> => {
          const sent = performance.now();
          await client.ping();
          pinged(key, performance.now() - sent);
        };
        setTimeout(() => setInterval(() => void ping(), health.intervalMs), Math.random() * health.intervalMs);
      }
    };
    await Promise.all(Array.from({ length: 20 }, connectNext));
  };
}

const way = await (ways[process.argv[2] ?? ''] ?? pinger)();
let report: Report = { pings: 0, roundTrips: {} };
process.on('disconnect', () => process.exit());
process.on('message', (message: Order | 'report') => {
  if (message === 'report') {
    process.send?.(report);
    report = { pings: 0, roundTrips: {} };
    return;
  }
  const keyed = new Set(message.targets.filter(({ key }) => !key.startsWith('many/')).map(({ key }) => key));
  const pinged = (key: string, ms: number): void => {
    report.pings += 1;
    if (keyed.has(key)) (report.roundTrips[key] ??= []).push(ms);
  };
  void way(message.targets, pinged).then(() => process.send?.('ready'));
});
process.send?.('loaded');
