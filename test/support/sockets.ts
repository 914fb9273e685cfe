import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

/** TCP connections that this process holds open or is making, listening sockets aside. */
export function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap' || name === 'TCPConnectWrap')
    .length;
}

/**
 * Waits until no more than `count` of them are left; a closed one is gone a few turns of the event loop later. There may be fewer: some of an
 * earlier test file, which a worker runs in the same process, may have ended since.
 */
export async function socketsLeft(count: number, deadlineMs = 30_000): Promise<void> {
  const until = performance.now() + deadlineMs;
  while (openSockets() > count) {
    if (performance.now() > until)
      throw new Error(`${openSockets()} TCP connections are left, expected ${count} at most`);
    await setImmediate();
  }
}

/**
 * Seconds until the kernel asks whether the other side of a connection of IPv4 is there still; undefined: it never does. `ends`: ports of this end and
 * of the other one, as far as they are known.
 */
export function probedIn(ends: { readonly local?: number; readonly remote?: number }): number | undefined {
  const isAt = (address: string | undefined, port: number | undefined) =>
    port === undefined || address?.endsWith(`:${port.toString(16).toUpperCase().padStart(4, '0')}`) === true;
  const rows = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const ESTABLISHED = '01';
  const row = rows.find(
    ([, local, remote, state]) => state === ESTABLISHED && isAt(local, ends.local) && isAt(remote, ends.remote),
  );
  if (row === undefined) throw new Error(`there is no connection ${JSON.stringify(ends)}`);
  // 02 is the timer of keepalive, and its time is in ticks of 10 ms.
  const [kind, ticks = ''] = (row[5] ?? '').split(':');
  return kind === '02' ? Number.parseInt(ticks, 16) / 100 : undefined;
}
