/** Parsing of command lines, for all commands. */
import { isIP } from 'node:net';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { durationMs } from '../api/duration.ts';
import { parseQuantity } from '../kube/types/quantity.ts';

/** A wrong command line; the message says what to change. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

type Flags = NonNullable<ParseArgsConfig['options']>;
type Values<T extends Flags> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T; strict: true; allowPositionals: false }>
>['values'];

/**
 * The values of known flags; anything else on the command line is an error.
 * @throws UsageError
 */
export function parseFlags<const T extends Flags>(args: readonly string[], options: T): Values<T> {
  try {
    return parseArgs({ args: [...args], options, strict: true as const, allowPositionals: false as const }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** Items of a comma-separated list, without empty ones. */
export function list(value: string | undefined): string[] {
  return (value ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** Whether this is an address range such as `10.0.0.0/8` or `fd00::/8`. */
export function isCIDR(text: string): boolean {
  const [address = '', prefix = '', ...rest] = text.split('/');
  const family = isIP(address);
  return family !== 0 && rest.length === 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}

/** @throws UsageError for anything but `true` and `false` */
export function flag(name: string, value: string): boolean {
  if (value === 'true' || value === 'false') return value === 'true';
  throw new UsageError(`--${name}=${value}: must be true or false`);
}

/** @throws UsageError for anything but a whole number above 0 */
export function positive(name: string, value: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new UsageError(`--${name}=${value}: must be a whole number above 0`);
}

/** ms. @throws UsageError for anything but a duration as in the resources: `90s`, `10h` */
export function duration(name: string, value: string): number {
  try {
    return durationMs(value);
  } catch (error) {
    throw new UsageError(`--${name}=${value}: must be a duration such as 30m or 10h`, { cause: error });
  }
}

/** @throws UsageError for anything but a quantity above 0 that is written as in resources: `128Mi` */
export function bytes(name: string, value: string): number {
  const number = Number((parseQuantity(value) ?? 0n) / 1_000_000_000n);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new UsageError(`--${name}=${value}: must be a number of bytes such as 128Mi`);
}

/** @throws UsageError for anything but a whole number, 0 included */
export function notNegative(name: string, value: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number >= 0 && value.trim() !== '') return number;
  throw new UsageError(`--${name}=${value}: must be a whole number, 0 or above`);
}

/** @throws UsageError for a value that is not `allowed` */
export function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new UsageError(`--${name}=${value}: must be one of ${allowed.join(', ')}`);
}

/** Undefined for 0. @throws UsageError for anything but a TCP port, or 0 */
export function port(name: string, value: string): number | undefined {
  const number = notNegative(name, value);
  if (number > 65_535) throw new UsageError(`--${name}=${value}: must be a port, or 0 for none`);
  return number === 0 ? undefined : number;
}
