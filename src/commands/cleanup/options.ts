/** The command line of `copilot-operator cleanup`; src/resources/cleanup-pod.ts writes it. */
import { durationMs } from '../../api/duration.ts';
import { isSessionId } from '../../copilot/session-id.ts';
import type { CleanupOptions, Target } from '../../cleanup/model.ts';
import { parseFlags, UsageError } from '../flags.ts';

/** One line a flag, for --help. */
export const CLEANUP_FLAGS = `\
  --ttl DURATION                     deletes sessions without activity for this long, such as 720h; this or:
  --delete-session ID                deletes this one session, however old it is; or:
  --sweep                            deletes no session: only removes what deletions have left on volumes
  --server NAME=HOST:PORT            a server that runs: its sessions are deleted through it; its token is in
                                     COPILOT_CONNECTION_TOKEN; any number of servers
  --volume NAME=PATH                 a mounted volume of sessions; beside a server of the same name it is only swept
  --policies FILE                    sessions that are kept longer, as JSON; see docs/cleanup.md
  --dry-run                          deletes nothing and tells what it would delete
  --result-file PATH                 where the result is written, as JSON in at most 4096 bytes`;

const flags = {
  ttl: { type: 'string' },
  'delete-session': { type: 'string' },
  sweep: { type: 'boolean' },
  server: { type: 'string', multiple: true },
  volume: { type: 'string', multiple: true },
  policies: { type: 'string' },
  'dry-run': { type: 'boolean' },
  'result-file': { type: 'string' },
} as const;

/** @throws UsageError */
export function parseCleanupOptions(args: readonly string[], env: NodeJS.ProcessEnv): CleanupOptions {
  const values = parseFlags(args, flags);
  const targets = targetsOf(values.server ?? [], values.volume ?? []);
  const token = env['COPILOT_CONNECTION_TOKEN'];
  if (!token && values.server !== undefined) {
    throw new UsageError('--server needs the connection token of the servers: set COPILOT_CONNECTION_TOKEN');
  }
  return {
    task: taskOf(values),
    dryRun: values['dry-run'] ?? false,
    targets,
    token: token ?? '',
    resultFile: values['result-file'],
  };
}

interface TaskFlags {
  readonly ttl?: string | undefined;
  readonly 'delete-session'?: string | undefined;
  readonly sweep?: boolean | undefined;
  readonly policies?: string | undefined;
  readonly server?: readonly string[] | undefined;
}

function taskOf({ ttl, 'delete-session': sessionId, sweep, policies, server }: TaskFlags): CleanupOptions['task'] {
  if ([ttl, sessionId, sweep].filter((flag) => flag !== undefined).length !== 1) {
    throw new UsageError('write one of --ttl DURATION, --delete-session ID and --sweep');
  }
  if (ttl !== undefined) return { ttlMs: ttlOf(ttl), policiesFile: policies };
  if (policies !== undefined) {
    throw new UsageError('--policies goes with --ttl: nothing else asks how long a session is kept');
  }
  if (sessionId !== undefined) return { sessionId: sessionIdOf(sessionId) };
  if (server !== undefined) throw new UsageError('--sweep works on volumes: write --volume NAME=PATH, and no --server');
  return 'Sweep';
}

function ttlOf(text: string): number {
  let ms: number;
  try {
    ms = durationMs(text);
  } catch (error) {
    throw new UsageError(`--ttl=${text}: write whole hours, minutes and seconds, such as 720h or 1h30m`, {
      cause: error,
    });
  }
  if (ms > 0) return ms;
  throw new UsageError(`--ttl=${text}: write a duration above 0; it would delete every session`);
}

function sessionIdOf(text: string): string {
  if (isSessionId(text)) return text;
  throw new UsageError(`--delete-session=${text}: write the id of a session: letters, digits, "_" and "-"`);
}

/** Servers and volumes by the name that they share. */
function targetsOf(servers: readonly string[], volumes: readonly string[]): Target[] {
  const targets = new Map<string, Target>();
  for (const text of servers) {
    const [name, address] = pair('server', text, 'NAME=HOST:PORT');
    if (targets.has(name)) throw new UsageError(`--server=${text}: ${name} has an address already`);
    const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3]);
    if (host === undefined || port < 1 || port > 65_535) throw new UsageError(`--server=${text}: write NAME=HOST:PORT`);
    targets.set(name, { name, server: { host, port } });
  }
  for (const text of volumes) {
    const [name, volume] = pair('volume', text, 'NAME=PATH');
    const target = targets.get(name) ?? { name };
    if (target.volume !== undefined) throw new UsageError(`--volume=${text}: ${name} has a volume already`);
    targets.set(name, { ...target, volume });
  }
  if (targets.size === 0) throw new UsageError('where? write --server NAME=HOST:PORT or --volume NAME=PATH');
  return [...targets.values()];
}

function pair(flagName: string, text: string, form: string): [string, string] {
  const at = text.indexOf('=');
  const [name, value] = [text.slice(0, at), text.slice(at + 1)];
  if (at <= 0 || value === '') throw new UsageError(`--${flagName}=${text}: write ${form}`);
  return [name, value];
}
