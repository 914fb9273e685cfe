/** The command line of `copilot-operator cleanup`, which src/resources/cleanup-pod.ts writes too. */
import { durationMs } from '../../api/duration.ts';
import { isSessionId } from '../../copilot/session-id.ts';
import type { CleanupOptions, RequestedDeletion, Target } from '../../cleanup/model.ts';
import { parseFlags, UsageError } from '../flags.ts';

/** The flags as the help lists them. */
export const CLEANUP_FLAGS = `\
  --ttl DURATION                     delete sessions without activity for this long, such as 720h; or:
  --delete-session ID[=OWNER]        delete this session, whatever its age, if its data has this owner or none; can be
                                     repeated; or:
  --sweep                            delete no session, only the files that deletions left on volumes
  --server NAME=HOST:PORT            a running server to delete sessions through, with its connection token in
                                     COPILOT_CONNECTION_TOKEN; can be repeated
  --volume NAME=PATH                 a mounted volume of sessions, which is only swept when there is a --server of the
                                     same name; can be repeated
  --stop-after DURATION              with --delete-session: stop after the deletion that takes longer than this, and fail
  --policies FILE                    JSON file with the sessions to keep longer; see docs/cleanup.md
  --dry-run                          delete nothing, and report what would be deleted
  --result-file PATH                 file to write the result to, as JSON of at most 4096 bytes`;

const flags = {
  ttl: { type: 'string' },
  'delete-session': { type: 'string', multiple: true },
  'stop-after': { type: 'string' },
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
    throw new UsageError('--server requires the connection token of the servers: set COPILOT_CONNECTION_TOKEN');
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
  readonly 'delete-session'?: readonly string[] | undefined;
  readonly 'stop-after'?: string | undefined;
  readonly sweep?: boolean | undefined;
  readonly policies?: string | undefined;
  readonly server?: readonly string[] | undefined;
}

function taskOf({
  ttl,
  'delete-session': sessions,
  'stop-after': stopAfter,
  sweep,
  policies,
  server,
}: TaskFlags): CleanupOptions['task'] {
  if ([ttl, sessions, sweep].filter((flag) => flag !== undefined).length !== 1) {
    throw new UsageError('exactly one of --ttl, --delete-session and --sweep is required');
  }
  if (stopAfter !== undefined && sessions === undefined) {
    throw new UsageError('--stop-after requires --delete-session');
  }
  if (ttl !== undefined) return { ttlMs: durationOf('ttl', ttl), policiesFile: policies };
  if (policies !== undefined) {
    throw new UsageError('--policies requires --ttl');
  }
  if (sessions !== undefined) {
    const maxMs = stopAfter === undefined ? undefined : durationOf('stop-after', stopAfter);
    return { sessions: sessions.map(deletionOf), maxMs };
  }
  if (server !== undefined) throw new UsageError('--sweep works on volumes: use --volume NAME=PATH, and no --server');
  return 'Sweep';
}

function durationOf(flag: 'ttl' | 'stop-after', text: string): number {
  let ms: number;
  try {
    ms = durationMs(text);
  } catch (error) {
    throw new UsageError(`--${flag}=${text}: must be whole hours, minutes and seconds, such as 720h or 1h30m`, {
      cause: error,
    });
  }
  if (ms > 0) return ms;
  throw new UsageError(
    `--${flag}=${text}: must be longer than 0${flag === 'ttl' ? ', which would delete every session' : ''}`,
  );
}

function deletionOf(text: string): RequestedDeletion {
  const at = text.indexOf('=');
  const [sessionId, owner] = at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
  if (owner === '') throw new UsageError(`--delete-session=${text}: the owner after "=" is empty`);
  if (isSessionId(sessionId)) return { sessionId, owner };
  throw new UsageError(`--delete-session=${text}: must be a session id: letters, digits, "_" and "-"`);
}

/** The servers and volumes, joined by name. */
function targetsOf(servers: readonly string[], volumes: readonly string[]): Target[] {
  const targets = new Map<string, Target>();
  for (const text of servers) {
    const [name, address] = pair('server', text, 'NAME=HOST:PORT');
    if (targets.has(name)) throw new UsageError(`--server=${text}: ${name} already has an address`);
    const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3]);
    if (host === undefined || port < 1 || port > 65_535)
      throw new UsageError(`--server=${text}: must be NAME=HOST:PORT`);
    targets.set(name, { name, server: { host, port } });
  }
  for (const text of volumes) {
    const [name, volume] = pair('volume', text, 'NAME=PATH');
    const target = targets.get(name) ?? { name };
    if (target.volume !== undefined) throw new UsageError(`--volume=${text}: ${name} already has a volume`);
    targets.set(name, { ...target, volume });
  }
  if (targets.size === 0)
    throw new UsageError('at least one --server NAME=HOST:PORT or --volume NAME=PATH is required');
  return [...targets.values()];
}

function pair(flagName: string, text: string, form: string): [string, string] {
  const at = text.indexOf('=');
  const [name, value] = [text.slice(0, at), text.slice(at + 1)];
  if (at <= 0 || value === '') throw new UsageError(`--${flagName}=${text}: must be ${form}`);
  return [name, value];
}
