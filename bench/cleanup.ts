// The command `cleanup` over 3,000 sessions, from the start of its process to its end: on a volume, and through real servers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { CleanupResult } from '../src/resources/cleanup-result.ts';
import { DAY, putSession, temporaryVolume } from '../test/support/cleanup.ts';
import { CopilotServer } from '../test/support/copilot-server.ts';
import { shipped } from './lib/shipped.ts';
import { peakRssAtExit, WRITE_STATUS_AT_EXIT } from './lib/process.ts';
import { bounded, type BenchResult, type Figure } from './lib/result.ts';
import { median } from './lib/statistics.ts';

const SESSIONS = 3000;
/** One in so many is older than the TTL. */
const OLD = 100;
const ROUNDS = 5;
const LIMIT_S = 5;
/** Its container's limit is 256 MiB. */
const LIMIT_MB = 200;
const TOKEN = 'bench';

interface Run {
  seconds: number;
  peak: number;
}

export async function run(): Promise<BenchResult> {
  const figures: Figure[] = [];
  {
    await using volume = await temporaryVolume();
    figures.push(...(await measured('on a volume', volume.path, `--volume=acme-0=${volume.path}`)));
  }
  for (const binary of ['cli', 'runtime'] as const) {
    await using server = await CopilotServer.start(binary, TOKEN);
    const address = `--server=acme-0=${server.host}:${server.port}`;
    figures.push(...(await measured(`through a server (${binary})`, server.sessionState, address)));
  }
  return {
    name: 'Cleanup',
    about: `${SESSIONS} sessions on disk, one in ${OLD} of them older than the TTL, checked by dry runs of the bundle: from the start of the process to its end, median of ${ROUNDS}, and the highest peak of its memory. The time includes the server's.`,
    figures,
  };
}

async function measured(where: string, volume: string, target: string): Promise<Figure[]> {
  for (let i = 0; i < SESSIONS; i += 1) putSession(volume, `s-${i}`, { ageMs: i % OLD === 0 ? 8 * DAY : DAY });
  // The first run warms the caches and is not counted.
  await cleanup(target);
  const runs: Run[] = [];
  for (let round = 0; round < ROUNDS; round += 1) runs.push(await cleanup(target));
  return [
    bounded(`${where}: time`, median(runs.map(({ seconds }) => seconds)), 's', LIMIT_S),
    bounded(`${where}: peak RSS`, Math.max(...runs.map(({ peak }) => peak)), 'MB', LIMIT_MB),
  ];
}

/** A dry run: the next one finds the same. */
async function cleanup(target: string): Promise<Run> {
  const { bundle, flags, env } = shipped();
  const started = performance.now();
  const child = spawn(
    process.execPath,
    [...flags, WRITE_STATUS_AT_EXIT, bundle, 'cleanup', '--ttl=168h', '--dry-run', target],
    {
      stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
      env: { ...process.env, ...env, COPILOT_CONNECTION_TOKEN: TOKEN },
    },
  );
  const [log, status] = await Promise.all([
    text(child.stdout as Readable),
    text(child.stdio[3] as Readable),
    once(child, 'close'),
  ]);
  const seconds = (performance.now() - started) / 1000;
  const { kept, deleted, message } = JSON.parse(log.trimEnd().split('\n').at(-1) ?? '') as CleanupResult;
  if (deleted !== SESSIONS / OLD || kept !== SESSIONS - deleted)
    throw new Error(`the run counted ${kept} kept and ${deleted} deleted sessions: ${message ?? 'without a message'}`);
  return { seconds, peak: peakRssAtExit(status) };
}
