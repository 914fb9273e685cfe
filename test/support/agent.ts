/**
 * What a hostile agent does with the tool `bash`: it takes what it finds in its server, uses the server by loopback, and tries the gateway with
 * all of it. Run by the agent as
 *
 *   node agent.ts HOST:PORT-OF-GATEWAY NAMESPACE/TENANT PORT-OF-SERVER
 *
 * Prints one JSON object, without any secret.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { RawClient, type RawMessage } from './raw-client.ts';

/** What it prints. */
export interface Loot {
  /** Whether it has found the connection token of its server. */
  readonly hasToken: boolean;
  /** Sessions that it sees with it by loopback, and whether it can change what is stored beside one. */
  readonly sessions: number;
  readonly rewrites: boolean;
  /** Tokens that it tried at the gateway, how many were refused as wrong ones, and what else was answered. */
  readonly tried: number;
  readonly refused: number;
  readonly others: readonly string[];
}

const [gateway = '', tenant = '', server = ''] = process.argv.slice(2);
const TOKEN = 'COPILOT_CONNECTION_TOKEN';
const ANSWER_MS = 30_000;
/** Shorter strings are no secrets. */
const SHORTEST = 8;

function environmentOf(pid: string): Map<string, string> {
  const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  return new Map(
    entries.filter((entry) => entry.includes('=')).map((entry) => entry.split(/=(.*)/s) as [string, string]),
  );
}

/** The environment of the server, from which this process descends. */
function serverEnvironment(): Map<string, string> {
  let pid = String(process.pid);
  while (pid !== '0') {
    const environment = environmentOf(pid);
    if (environment.has(TOKEN)) return environment;
    pid = /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  }
  return new Map();
}

/** Whatever on the server's volume looks like a credential. */
function onDisk(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .flatMap((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1').match(/[\w-]{40,128}/g) ?? []);
}

async function call(client: RawClient, id: number, method: string, params: object): Promise<RawMessage> {
  client.send({ id, method, params });
  return client.answer(id, ANSWER_MS);
}

async function useServer(token: string): Promise<Pick<Loot, 'sessions' | 'rewrites'>> {
  const [host, port] = server.split(':');
  const socket = connect(Number(port), host);
  const client = new RawClient(socket);
  try {
    await call(client, 1, 'connect', { token });
    const { result } = await call(client, 2, 'session.list', {});
    const sessions = (result?.['sessions'] ?? []) as { sessionId: string }[];
    const params = { sessionId: sessions[0]?.sessionId, set: { 'copilot-operator.dev/owner': 'alice' } };
    const { error } = await call(client, 3, 'session.metadata.updateClientMetadata', params);
    return { sessions: sessions.length, rewrites: error === undefined };
  } finally {
    socket.destroy();
  }
}

/** What the gateway answers to a token. */
async function present(token: string): Promise<string> {
  const [host = '', port = ''] = gateway.split(':');
  const socket = connect(Number(port), host);
  const client = new RawClient(socket);
  try {
    client.connect(token);
    const { error } = await client.answer(1, ANSWER_MS);
    return error === undefined ? 'admitted' : error.message;
  } finally {
    socket.destroy();
  }
}

async function main(): Promise<Loot> {
  const environment = serverEnvironment();
  const token = environment.get(TOKEN) ?? '';
  const server = await useServer(token);
  const found = new Set([...environment.values(), ...onDisk(environment.get('HOME') ?? '/nowhere')]);
  const credentials = [...found].filter((text) => text.length >= SHORTEST && /^[\x21-\x7e]+$/.test(text)).slice(0, 40);
  const tokens = [token, ...credentials].flatMap((text) => [
    text,
    `${tenant}:${text}`,
    `${tenant}/alice:${text}`,
    `${tenant}:cpg_${text}`,
  ]);
  const answers = await Promise.all([...new Set(tokens)].map((each) => present(each)));
  const others = answers.filter((answer) => answer !== 'AUTHENTICATION_FAILED');
  return { hasToken: token !== '', ...server, tried: answers.length, refused: answers.length - others.length, others };
}

console.log(JSON.stringify(await main()));
