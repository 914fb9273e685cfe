// What a process costs, as the kernel accounts it: from outside, so that measuring does not weigh on what is measured.
import { readFileSync } from 'node:fs';

/** Linux accounts CPU in ticks of 10 ms (USER_HZ is 100 on every x86-64 kernel). */
const ticksPerSecond = 100;

/** CPU seconds (user and system, all threads) that the process has used so far. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command's name may hold spaces; the fields that count stand after its closing parenthesis.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function statusMegabytes(pid: number, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (!match) throw new Error(`process ${pid}: no ${field} in its status`);
  return Number(match[1]) / 1024;
}

/** Resident memory now, in MB. */
export function rssMegabytes(pid: number): number {
  return statusMegabytes(pid, 'VmRSS');
}

/** The highest resident memory so far, in MB. */
export function peakRssMegabytes(pid: number): number {
  return statusMegabytes(pid, 'VmHWM');
}
