// A real server behind a real guard, each a process, on a directory that several of them share: what a pod with `topology: SharedStorage` is.
import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GRANT_METHOD } from '../../src/resources/guard-protocol.ts';
import {
  grantKeyPem,
  grantSigner,
  signGrant,
  type GrantIntent,
  type GrantSigner,
  type SessionGrant,
} from '../../src/resources/session-grant.ts';
import type { ServerBinary } from './copilot-binary.ts';
import { CopilotServer, freePort } from './copilot-server.ts';
import { RawCalls, type RawAnswer } from './raw-calls.ts';
import { PROJECT } from './tenant-api.ts';
import { waitFor } from './wait.ts';

const TENANT = 'team/acme';
export const GUARD_TOKEN = 'f3b1c0ffee';

/** The volume of all servers of a tenant, and the key of who signs. */
export class SharedVolume implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'copilot-operator-shared-'));
  /** What is mounted at `session-state`. */
  readonly sessions = join(this.root, 'sessions');
  readonly keyFile = join(this.root, 'grant-keys.pem');
  readonly signer: GrantSigner;

  constructor() {
    mkdirSync(this.sessions);
    const { privateKey, publicKey } = grantKeyPem(generateKeyPairSync('ed25519'));
    this.signer = grantSigner(privateKey);
    writeFileSync(this.keyFile, publicKey);
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

export class GuardedServer implements AsyncDisposable {
  readonly pod: string;
  readonly cli: CopilotServer;
  /** Where the guard listens. */
  readonly port: number;
  readonly healthPort: number;
  readonly #volume: SharedVolume;
  readonly #state: string;
  #guard: ChildProcess | undefined;
  /** The guard's log. */
  output = '';

  private constructor(volume: SharedVolume, pod: string, cli: CopilotServer, ports: readonly [number, number]) {
    this.#volume = volume;
    this.pod = pod;
    this.cli = cli;
    [this.port, this.healthPort] = ports;
    this.#state = join(volume.root, `state-of-${pod}`);
    mkdirSync(this.#state);
  }

  /** `pod`: its UID. */
  static async start(volume: SharedVolume, binary: ServerBinary, pod: string): Promise<GuardedServer> {
    const home = join(volume.root, `home-of-${pod}`);
    mkdirSync(join(home, '.copilot'), { recursive: true });
    symlinkSync(volume.sessions, join(home, '.copilot/session-state'));
    const cli = await CopilotServer.start(binary, GUARD_TOKEN, [], { HOME: home });
    const server = new GuardedServer(volume, pod, cli, [await freePort(), await freePort()]);
    try {
      await server.startGuard();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  get server(): string {
    return `team/server-of-${this.pod}`;
  }

  /** Resolves when it is ready. */
  async startGuard(): Promise<void> {
    const { sessions, keyFile } = this.#volume;
    const args = [
      join(PROJECT, 'src/main.ts'),
      'guard',
      `--tenant=${TENANT}`,
      `--server-name=${this.server}`,
      `--pod-uid=${this.pod}`,
      `--listen-port=${this.port}`,
      `--server=127.0.0.1:${this.cli.port}`,
      `--state-dir=${this.#state}`,
      `--sessions-dir=${sessions}`,
      `--key-file=${keyFile}`,
      `--health-port=${this.healthPort}`,
    ];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.on('data', (text: Buffer) => (this.output += text.toString()));
    this.#guard = child;
    const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
    await waitFor('the guard is ready', async () => hasEnded() || (await this.isReady()));
    if (hasEnded()) throw new Error(`the guard ended with ${child.exitCode}: ${this.output}`);
  }

  async isReady(): Promise<boolean> {
    const { ok } = await fetch(`http://127.0.0.1:${this.healthPort}/readyz`);
    return ok;
  }

  async stopGuard(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#guard;
    this.#guard = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null;
    child.kill(signal);
    await once(child, 'exit');
    return child.exitCode;
  }

  /** A connection that is admitted by the server. */
  connect(): Promise<RawCalls> {
    return RawCalls.open({ host: '127.0.0.1', port: this.port, token: GUARD_TOKEN });
  }

  /** A signed grant for it. */
  grant(session: string, epoch: number, intent: GrantIntent, other: Partial<SessionGrant> = {}): string {
    const { pod, server } = this;
    const issuedAt = new Date().toISOString();
    return signGrant({ tenant: TENANT, server, pod, session, epoch, intent, issuedAt, ...other }, this.#volume.signer);
  }

  /** What the guard answers to a grant. */
  async ask(calls: RawCalls, ...grant: Parameters<GuardedServer['grant']>): Promise<RawAnswer['message']> {
    const { message } = await calls.call(GRANT_METHOD, { grant: this.grant(...grant) });
    return message;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopGuard('SIGKILL');
    await this.cli[Symbol.asyncDispose]();
  }
}
