/** The command `ping`: sends one server the ping that the operator sends to all of them. */
import { parseArgs } from 'node:util';
import { SERVER_PORT } from '../../api/names.ts';
import { Client, CopilotError, getStatus, ping } from '../../copilot/index.ts';
import { systemClock } from '../../kube/clock/clock.ts';
import { UsageError } from '../flags.ts';

const TIMEOUT_MS = 5_000;

/** Resolves to the exit code: 0 when the server answers, 1 when it does not. */
export async function runPing(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { host, port } = addressOf(args);
  // From the environment only: arguments are visible to every user who lists processes.
  const token = env['COPILOT_CONNECTION_TOKEN'];
  const connection = new Client({ host, port, timers: systemClock, ...(token !== undefined && { token }) });
  const started = systemClock.monotonic();
  try {
    await connection.open({ timeoutMs: TIMEOUT_MS });
    const connected = systemClock.monotonic();
    await ping(connection, { timeoutMs: TIMEOUT_MS });
    const answered = systemClock.monotonic();
    const { version, protocolVersion } = await getStatus(connection, { timeoutMs: TIMEOUT_MS });
    process.stdout.write(
      `${connection.address} answers: version ${version}, protocol ${protocolVersion}, ` +
        `connected in ${Math.round(connected - started)} ms, ping ${(answered - connected).toFixed(1)} ms\n`,
    );
    return 0;
  } catch (error) {
    if (!(error instanceof CopilotError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  } finally {
    connection.close();
  }
}

function addressOf(args: readonly string[]): { host: string; port: number } {
  const [address, ...others] = parseArgs({ args: [...args], allowPositionals: true, strict: false }).positionals;
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(address ?? '');
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || others.length > 0) throw new UsageError('ping requires one address: HOST[:PORT]');
  return { host, port: match?.[3] === undefined ? SERVER_PORT : Number(match[3]) };
}
