// When nothing changes, nothing is written: counted in the API server's audit log, while quiet and after a restart.
import { systemClock } from '../src/kube/clock/clock.ts';
import { auditMark, isWrite, type AuditRecord } from '../test/support/audit.ts';
import { connect } from './lib/cluster.ts';
import { runningFleet } from './lib/fleet.ts';
import { operatorRequestsSince, startOperator } from './lib/operator.ts';
import { bounded, type BenchOptions, type BenchResult } from './lib/result.ts';

const QUIET_MS = 120_000;
/** Enough to poll every tenant once after the restart (its Secrets are read every 46 to 54 s). */
const AFTER_RESTART_MS = 60_000;

export async function run({ tenants }: BenchOptions): Promise<BenchResult> {
  await using connection = connect();
  const { client } = connection;
  await using fleet = await runningFleet(client, tenants);
  const quiet = await during(QUIET_MS);
  await fleet.operator.stop();
  const mark = auditMark();
  await using operator = startOperator();
  await operator.ready();
  await systemClock.sleep(AFTER_RESTART_MS);
  const restarted = operatorRequestsSince(mark);
  return {
    name: 'Steady state',
    about: `${tenants} healthy tenants over ${QUIET_MS / 1000} s, then a restart of the operator and ${AFTER_RESTART_MS / 1000} s more; counted in the API server's audit log.`,
    figures: [
      bounded('writes while quiet', quiet.filter(isWrite).length, 'requests', 0),
      bounded('LISTs while quiet', quiet.filter(isList).length, 'requests', 0),
      { metric: 'GETs while quiet (polled Secrets)', value: quiet.filter(isGet).length, unit: 'requests' },
      bounded('writes after a restart', restarted.filter(isWrite).length, 'requests', 0),
    ],
  };
}

async function during(ms: number): Promise<AuditRecord[]> {
  const mark = auditMark();
  await systemClock.sleep(ms);
  return operatorRequestsSince(mark);
}

const isList = (record: AuditRecord): boolean => record.verb === 'list';
const isGet = (record: AuditRecord): boolean => record.verb === 'get';
