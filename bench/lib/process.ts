// CPU and memory of a process as the kernel accounts them: read from outside, so that measuring adds nothing.
import { readFileSync } from 'node:fs';

/** Linux accounts CPU in ticks of 10 ms (USER_HZ is 100 on every x86-64 kernel). */
const ticksPerSecond = 100;

/** CPU seconds (user and system, all threads) that the process has used so far. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command's name may contain spaces; the other fields follow its closing parenthesis.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function statusMegabytes(status: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status);
  if (!match) throw new Error(`no ${field} in the status of the process:\n${status}`);
  return Number(match[1]) / 1024;
}

const statusOf = (pid: number): string => readFileSync(`/proc/${pid}/status`, 'utf8');

/** Resident memory now, in MB. */
export function rssMegabytes(pid: number): number {
  return statusMegabytes(statusOf(pid), 'VmRSS');
}

/** The highest resident memory so far, in MB. */
export function peakRssMegabytes(pid: number): number {
  return statusMegabytes(statusOf(pid), 'VmHWM');
}

const AT_EXIT = `
  import { readFileSync, writeSync } from 'node:fs';
  process.on('exit', () => writeSync(3, readFileSync('/proc/self/status')));`;

/**
 * Flag of node that makes a program write its status to file descriptor 3 when it exits, for {@link peakRssAtExit}. The kernel's own
 * peak of an exited process counts the parent's pages too (`ru_maxrss` survives an exec).
 */
export const WRITE_STATUS_AT_EXIT = `--import=data:text/javascript,${encodeURIComponent(AT_EXIT)}`;

/** The highest resident memory of a program, in MB, from its status at exit. */
export function peakRssAtExit(status: string): number {
  return statusMegabytes(status, 'VmHWM');
}
