// The peer of bench/scale.ts, which is written in Go with controller-runtime (bench/peer) and built if there is Go.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { COPILOT_TENANT } from '../../src/api/names.ts';
import { until } from './cluster.ts';
import { bare, tenantName } from './fleet.ts';
import type { Sample } from './floor.ts';

/** Tenants that the operator reconciles at the same time, by default. */
const WORKERS = 8;

/** The program of the peer. */
export interface PeerProgram extends Disposable {
  readonly path: string;
}

/** Builds the peer; undefined: this machine has no Go. */
export function buildPeer(): PeerProgram | undefined {
  if (!hasGo()) return undefined;
  const dir = mkdtempSync(join(tmpdir(), 'bench-peer-'));
  const path = join(dir, 'peer');
  const env = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', GOTOOLCHAIN: 'local' };
  const options = { cwd: join(import.meta.dirname, '../peer'), env, stdio: 'inherit' } as const;
  execFileSync('go', ['build', '-trimpath', '-mod=readonly', '-ldflags', '-s -w', '-o', path, '.'], options);
  return { path, [Symbol.dispose]: () => rmSync(dir, { recursive: true }) };
}

function hasGo(): boolean {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

export interface Peer extends AsyncDisposable {
  readonly pid: number;
}

/** Starts the peer, with what the operator wrote for tenant 0 as its model. Its caches are filled, and it reconciles. */
export async function startPeer(
  { path }: PeerProgram,
  kubeconfig: string,
  { children, status }: Sample,
): Promise<Peer> {
  const { group, version, kind, plural } = COPILOT_TENANT;
  const objects = children.map(({ object }) => bare(object));
  const sample = `${path}.json`;
  writeFileSync(
    sample,
    JSON.stringify({ group, version, kind, plural, tenant: tenantName(0), children: objects, status }),
  );
  const args = [`-cluster=${kubeconfig}`, `-sample=${sample}`, `-workers=${WORKERS}`];
  const child = spawn(path, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const kill = (): unknown => child.kill('SIGKILL');
  process.once('exit', kill);
  const exited = once(child, 'exit').finally(() => process.off('exit', kill));
  const log: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  await until('workers of the peer', 30_000, () => {
    if (child.exitCode !== null) throw new Error(`the peer ended with ${child.exitCode}:\n${log.join('\n')}`);
    return log.some((line) => line.includes('Starting workers'));
  });
  return {
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
