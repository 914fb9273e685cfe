/** The command `guard`: the one way from outside to a CLI server on a shared volume. It holds no credential. */
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { type Logger, pino } from 'pino';
import { FenceLog } from '../../guard/fence-log.ts';
import { Guard } from '../../guard/guard.ts';
import { KeyFile } from '../../guard/key-file.ts';
import { ServerWatch } from '../../guard/server-watch.ts';
import { Sessions } from '../../guard/sessions.ts';
import { StampDisk } from '../../guard/stamp-disk.ts';
import { Stamps } from '../../guard/stamps.ts';
import { systemClock } from '../../kube/clock/clock.ts';
import { HealthServer } from '../../kube/runtime/health-server.ts';
import { exitOnCrash, stopOnSignal } from '../../kube/runtime/process.ts';
import { onAbort } from '../../kube/clock/abort.ts';
import { epochsOf } from '../../resources/guard-protocol.ts';
import { readGrant } from '../../resources/session-grant.ts';
import type { GuardCommandOptions } from './options.ts';

/** A loopback answers at once, or nobody listens. */
const DIAL_MS = 2_000;

/** Runs until a signal. Resolves to the exit code of the process. */
export async function runGuard(options: GuardCommandOptions): Promise<number> {
  const log: Logger = pino({ level: options.logLevel });
  exitOnCrash(log);
  const stop = stopOnSignal(log);
  const { self, server } = options;
  const fences = await FenceLog.open(options.stateDir);
  const keys = new KeyFile(options.keyFile, (message) => log.error(`cannot read the keys of grants: ${message}`));
  const disk = new StampDisk(options.sessionsDir, randomUUID());
  const sessions = new Sessions({
    self,
    fences,
    stamps: new Stamps(disk, self),
    failed: (error, session) =>
      log.error({ err: error, session, directory: epochsOf(session) }, 'cannot read or store an epoch'),
  });
  const volume = checkVolume(disk, log);
  const watch = new ServerWatch({
    dials: () => dials(server),
    clock: systemClock,
    changed: (accepts) => log.info(accepts ? 'the server accepts connections' : 'the server accepts no connections'),
  });
  const guard = new Guard({
    listen: { port: options.listenPort },
    server,
    sessions,
    readGrant: (text) => readGrant(text, keys.keys),
    unreachable: () => watch.look(),
    clock: systemClock,
    log,
  });
  const health = await serveHealth(options.healthPort, watch, volume, log);
  await guard.listen();
  watch.look();
  log.info({ ...self, sessions: fences.all.size }, 'guards the server');
  await new Promise<void>((resolve) => onAbort(stop, () => resolve()));
  // The kubelet stops the server first: its clients have been told by it.
  watch.stop();
  await Promise.all([guard.close(), health?.close()]);
  await fences.close();
  return 0;
}

/** Once, while it starts: the kind of a volume does not change. A volume that does not answer keeps nobody waiting. */
function checkVolume(disk: StampDisk, log: Logger): () => string | undefined {
  let unfit: string | undefined;
  disk
    .unfitness()
    .then((message) => {
      unfit = message;
      if (message !== undefined) log.error(message);
    })
    .catch((error: unknown) => log.error({ err: error }, 'cannot tell whether the shared volume has hard links'));
  return () => unfit;
}

async function serveHealth(
  port: number | undefined,
  watch: ServerWatch,
  volume: () => string | undefined,
  log: Logger,
): Promise<HealthServer | undefined> {
  if (port === undefined) return undefined;
  const server = {
    name: 'server',
    check: () => ({ ok: watch.accepts, message: watch.accepts ? '' : 'the CLI accepts no connections' }),
  };
  const storage = {
    name: 'volume',
    check: () => ({ ok: volume() === undefined, message: volume() ?? '' }),
  };
  const health = new HealthServer({ log, probes: { '/livez': [], '/readyz': [server, storage] } });
  await health.listen({ port });
  return health;
}

function dials(server: { readonly host: string; readonly port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ ...server, timeout: DIAL_MS });
    const end = (accepts: boolean) => (): void => {
      socket.destroy();
      resolve(accepts);
    };
    socket.on('connect', end(true)).on('timeout', end(false)).on('error', end(false));
  });
}
