/** What is read of the report that Jest writes with `--json`. */
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

export interface FileResult {
  readonly name: string;
  readonly status: string;
  readonly message: string;
  /** Ms since 1970. */
  readonly startTime: number;
  readonly endTime: number;
  readonly assertionResults: readonly {
    readonly status: string;
    readonly fullName: string;
    readonly failureMessages: readonly string[];
  }[];
}

export interface Report {
  readonly success: boolean;
  readonly testResults: readonly FileResult[];
}

/** Short, because a file whose set-up fails has dozens of the same failure. */
const FAILURE_LENGTH = 800;
/** How many of the slowest files are named, and from how many seconds on. */
const SLOWEST = 8;
const SLOW_S = 60;

const count = (file: FileResult, status: string) =>
  file.assertionResults.filter((result) => result.status === status).length;

export const passedIn = (file: FileResult): number => count(file, 'passed');

/** What fails beside the tests of a file, before or after them, counts as one that failed. */
export const failedIn = (file: FileResult): number => count(file, 'failed') || (file.status === 'failed' ? 1 : 0);

/** One line: without colours, the stack and what names this machine. */
function firstLine(text: string, root: string): string {
  const [line = ''] = stripVTControlCharacters(text)
    .trim()
    .split(/\n\s+at /);
  return line.replaceAll(`${root}/`, '').replace(/\s+/g, ' ').slice(0, FAILURE_LENGTH);
}

/** The file with its first failure. */
export function failureOf(file: FileResult, root: string): string {
  const name = relative(root, file.name);
  const failed = file.assertionResults.filter(({ status }) => status === 'failed');
  const [first] = failed;
  if (!first) return `${name}: ${firstLine(file.message, root)}`;
  const found = `${first.fullName.slice(-100)}: ${firstLine(first.failureMessages[0] ?? '', root)}`;
  return `${name}: ${failed.length} of ${file.assertionResults.length}: ${found}`;
}

/** Where the time of a run goes, which a CI bounds; undefined: no file is slow. */
export function slowestOf({ testResults }: Report, root: string): string | undefined {
  const timed = testResults.map(({ name, startTime, endTime }) => ({ name, seconds: (endTime - startTime) / 1000 }));
  const slow = timed.filter(({ seconds }) => seconds >= SLOW_S).toSorted((a, b) => b.seconds - a.seconds);
  if (slow.length === 0) return undefined;
  return slow
    .slice(0, SLOWEST)
    .map(({ name, seconds }) => `${relative(root, name)} ${seconds.toFixed(0)} s`)
    .join(', ');
}
