/** The command line of `copilot-operator guard`. */
import { GUARDED_SERVER_PORT, SERVER_PORT } from '../../api/names.ts';
import type { GuardIdentity } from '../../guard/refusals.ts';
import { GUARD_HEALTH_PORT, GuardPath } from '../../resources/guard-protocol.ts';
import { LOG_LEVELS, oneOf, parseFlags, port, UsageError, type LogLevel } from '../flags.ts';

/** The options of a guard. */
export interface GuardCommandOptions {
  readonly listenPort: number;
  /** The CLI. */
  readonly server: { readonly host: string; readonly port: number };
  readonly self: GuardIdentity;
  readonly stateDir: string;
  readonly sessionsDir: string;
  readonly keyFile: string;
  /** Undefined: no probes are served. */
  readonly healthPort: number | undefined;
  readonly logLevel: LogLevel;
}

/** The flags as the help lists them. */
export const GUARD_FLAGS = `\
  --tenant NAMESPACE/NAME            the tenant, as grants name it
  --server-name NAMESPACE/NAME       the server, as grants name it
  --pod-uid UID                      the pod, as grants name it; default: $POD_UID
  --listen-port PORT                 port for gateway, operator and Jobs; default: ${SERVER_PORT}
  --server HOST:PORT                 where the CLI listens; default: 127.0.0.1:${GUARDED_SERVER_PORT}
  --state-dir PATH                   directory that lives as long as the pod; default: ${GuardPath.state}
  --sessions-dir PATH                the shared volume of sessions; default: ${GuardPath.sessions}
  --key-file PATH                    public keys of who signs grants; default: ${GuardPath.keys}/${GuardPath.keyFile}
  --health-port PORT                 port of /livez and /readyz, or 0 for none; default: ${GUARD_HEALTH_PORT}
  --log-level LEVEL                  ${LOG_LEVELS.join(', ')}; default: info`;

const flags = {
  tenant: { type: 'string' },
  'server-name': { type: 'string' },
  'pod-uid': { type: 'string' },
  'listen-port': { type: 'string', default: String(SERVER_PORT) },
  server: { type: 'string', default: `127.0.0.1:${GUARDED_SERVER_PORT}` },
  'state-dir': { type: 'string', default: GuardPath.state },
  'sessions-dir': { type: 'string', default: GuardPath.sessions },
  'key-file': { type: 'string', default: `${GuardPath.keys}/${GuardPath.keyFile}` },
  'health-port': { type: 'string', default: String(GUARD_HEALTH_PORT) },
  'log-level': { type: 'string', default: 'info' },
} as const;

/** @throws UsageError */
export function parseGuardOptions(args: readonly string[], env: NodeJS.ProcessEnv): GuardCommandOptions {
  const values = parseFlags(args, flags);
  const listenPort = port('listen-port', values['listen-port']);
  if (listenPort === undefined) throw new UsageError('--listen-port=0: must be a port');
  const pod = values['pod-uid'] ?? env['POD_UID'];
  if (!pod) throw new UsageError('guard requires --pod-uid, or POD_UID in its environment');
  return {
    listenPort,
    server: addressOf(values.server),
    self: { tenant: nameOf('tenant', values.tenant), server: nameOf('server-name', values['server-name']), pod },
    stateDir: values['state-dir'],
    sessionsDir: values['sessions-dir'],
    keyFile: values['key-file'],
    healthPort: port('health-port', values['health-port']),
    logLevel: oneOf('log-level', values['log-level'], LOG_LEVELS),
  };
}

function nameOf(flag: string, value: string | undefined): string {
  if (value !== undefined && /^[^/]+\/[^/]+$/.test(value)) return value;
  throw new UsageError(`guard requires --${flag} NAMESPACE/NAME`);
}

function addressOf(value: string): { host: string; port: number } {
  const [, host, digits = ''] = /^(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})$/.exec(value) ?? [];
  const number = Number(digits);
  if (host === undefined || number === 0 || number > 65_535)
    throw new UsageError(`--server=${value}: must be an address of this pod's loopback: 127.0.0.1:PORT`);
  return { host: host.replaceAll(/[[\]]/g, ''), port: number };
}
