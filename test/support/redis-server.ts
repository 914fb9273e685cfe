// Redis servers, Sentinels and clusters as processes, from Debian's package redis-tools, which starts none by itself.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { freePort } from './copilot-server.ts';
import { waitFor } from './wait.ts';

/** One program for all: it is what it is called. */
const PROGRAM = '/usr/bin/redis-check-rdb';

export interface RedisServerOptions {
  /** Further lines of its configuration. */
  readonly config?: readonly string[];
  readonly port?: number;
  /** How the test itself connects; default: without a password or TLS. */
  readonly connect?: Omit<RedisOptions, 'replyMapping'>;
  readonly mode?: 'server' | 'sentinel';
}

/** A server on 127.0.0.1 that keeps nothing on its disk. */
export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly #dir = mkdtempSync(join(tmpdir(), 'redis-'));
  readonly #options: RedisServerOptions;
  #child: ChildProcess | undefined;
  #admin: Redis | undefined;

  private constructor(port: number, options: RedisServerOptions) {
    this.port = port;
    this.#options = options;
    symlinkSync(PROGRAM, join(this.#dir, this.#name));
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    if (!existsSync(PROGRAM))
      throw new Error(`there is no ${PROGRAM}: "make test" installs it, or install Debian's package redis-tools`);
    const server = new RedisServer(options.port ?? (await freePort()), options);
    await server.start();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** The connection of the test itself. */
  get admin(): Redis {
    this.#admin ??= new Redis({ host: '127.0.0.1', port: this.port, ...this.#options.connect });
    return this.#admin;
  }

  /** Again after `kill`, without any data. */
  async start(): Promise<void> {
    const file = join(this.#dir, 'redis.conf');
    const { config = [], mode } = this.#options;
    const lines = ['bind 127.0.0.1', 'protected-mode no', `dir ${this.#dir}`, `logfile ${this.#log}`];
    if (mode !== 'sentinel') lines.push('save ""', 'appendonly no', 'repl-diskless-sync-delay 0');
    const tls = config.some((line) => line.startsWith('tls-port'));
    writeFileSync(file, [...lines, `port ${tls ? 0 : this.port}`, ...config, ''].join('\n'));
    // Dies with this process, however that ends.
    const args = ['--pdeathsig', 'KILL', join(this.#dir, this.#name), file];
    if (mode === 'sentinel') args.push('--sentinel');
    this.#child = spawn('setpriv', args, { stdio: 'ignore' });
    await waitFor(`Redis on port ${this.port}`, () => this.#answers(), { withinMs: 10_000 });
  }

  /** As by a crash of its machine. */
  async kill(): Promise<void> {
    this.#admin?.disconnect();
    this.#admin = undefined;
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  get #name(): string {
    return `redis-${this.#options.mode ?? 'server'}`;
  }

  get #log(): string {
    return join(this.#dir, 'log');
  }

  async #answers(): Promise<boolean> {
    if (this.#child === undefined || this.#child.exitCode !== null)
      throw new Error(`Redis has ended: ${existsSync(this.#log) ? readFileSync(this.#log, 'utf8').slice(-2_000) : ''}`);
    const options = { host: '127.0.0.1', port: this.port, ...this.#options.connect };
    const probe = new Redis({ ...options, lazyConnect: true, retryStrategy: () => null, enableReadyCheck: false });
    probe.on('error', () => undefined);
    try {
      await probe.connect();
      return (await probe.ping()) === 'PONG';
    } finally {
      probe.disconnect();
    }
  }
}

/** Three servers, each with a third of the hash slots. */
export async function startRedisCluster(): Promise<{ url: string } & AsyncDisposable> {
  const timeout = ['cluster-enabled yes', 'cluster-node-timeout 2000', 'cluster-require-full-coverage yes'];
  const servers: RedisServer[] = [];
  for (let index = 0; index < 3; index += 1) servers.push(await RedisServer.start({ config: timeout }));
  const [first] = servers;
  const size = Math.ceil(16_384 / servers.length);
  for (const [index, { admin }] of servers.entries()) {
    const to = Math.min(16_384, (index + 1) * size) - 1;
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', String(index * size), String(to));
    if (first !== undefined && index > 0) await admin.call('CLUSTER', 'MEET', '127.0.0.1', String(first.port));
  }
  for (const { admin } of servers)
    await waitFor('the cluster is whole', async () => {
      const info = String(await admin.call('CLUSTER', 'INFO'));
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3');
    });
  return {
    url: `redis+cluster://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    [Symbol.asyncDispose]: async () => {
      for (const server of servers) await server[Symbol.asyncDispose]();
    },
  };
}
