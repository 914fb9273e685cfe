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
