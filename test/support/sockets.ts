import { setImmediate } from 'node:timers/promises';

/** TCP connections that this process holds open or is making, listening sockets aside. */
export function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap' || name === 'TCPConnectWrap')
    .length;
}

/** Waits until `count` of them are left; a closed one is gone a few turns of the event loop later. */
export async function socketsLeft(count: number, deadlineMs = 5000): Promise<void> {
  const until = performance.now() + deadlineMs;
  while (openSockets() !== count) {
    if (performance.now() > until) throw new Error(`${openSockets()} TCP connections are left, expected ${count}`);
    await setImmediate();
  }
}
