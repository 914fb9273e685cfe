// HAProxy in TCP mode on one core, from the package of Debian.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../test/support/copilot-server.ts';
import { until } from './cluster.ts';
import type { Proxy } from './proxies.ts';

const PROGRAM = '/usr/sbin/haproxy';

export async function startHAProxy(to: { readonly host: string; readonly port: number }): Promise<Proxy> {
  if (!existsSync(PROGRAM))
    throw new Error(`there is no ${PROGRAM}: "make bench" installs it, or install Debian's package haproxy`);
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'haproxy-'));
  const file = join(dir, 'haproxy.cfg');
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 1000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen servers
  bind 127.0.0.1:${port}
  server one ${to.host}:${to.port}
`,
  );
  const child = spawn(PROGRAM, ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = once(child, 'exit');
  await until('HAProxy listens', 10_000, () => isListening(port));
  return {
    pid: child.pid ?? 0,
    port,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
      rmSync(dir, { recursive: true });
    },
  };
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    // Not yet: `until` names the deadline.
    return false;
  } finally {
    socket.destroy();
  }
}
