/**
 * The result of a cleanup: one JSON object in the termination message of its pod. The command writes it, and the tenant controller
 * reads it.
 */
import { isSessionId } from '../copilot/session-id.ts';

/** The kubelet truncates a termination message at this size. */
export const MAX_RESULT_BYTES = 4096;
const MAX_MESSAGE_LENGTH = 1024;

/** How full a volume is, in whole percents, rounded up. */
export interface MeasuredVolume {
  /** Name of its server. */
  readonly name: string;
  readonly space: number;
  /** Bytes of its file system, which others may share. */
  readonly size: number;
  /** Used inodes; absent where the file system has no limit. */
  readonly files?: number | undefined;
}

/** What became of a session whose deletion was requested. */
export type DeletionOutcome = 'Deleted' | 'NotFound' | 'OwnedByAnother' | 'Failed';

/** One letter for each outcome, so that those of hundreds of sessions fit into a termination message. */
const LETTERS = { Deleted: 'd', NotFound: 'n', OwnedByAnother: 'o', Failed: 'f' } as const satisfies Record<
  DeletionOutcome,
  string
>;

/** Most sessions whose deletion one run is asked for: their outcomes take a quarter of the message. */
export const MAX_REQUESTED_DELETIONS = 1000;

/** The result of one run. */
export interface CleanupResult {
  /** Failed: there were errors. What could be done was done all the same. */
  readonly result: 'Succeeded' | 'Failed';
  /** Nothing was deleted; the counts are of what would have been. */
  readonly dryRun: boolean;
  /** Sessions that were checked and kept. */
  readonly kept: number;
  readonly deleted: number;
  /** Bytes of the files that were deleted or swept. */
  readonly freedBytes: number;
  /** Removed locks, stubs and remains of deletions. */
  readonly sweptFiles: number;
  readonly errors: number;
  /** The first error and how many more there were, or why the run stopped early. Absent after a success. */
  readonly message?: string | undefined;
  /** Of requested deletions, in the order of the request. Shorter than that when the run ended early. */
  readonly outcomes?: readonly DeletionOutcome[] | undefined;
  /** How full the mounted volumes were afterwards, as many as fit. */
  readonly volumes?: readonly MeasuredVolume[] | undefined;
  /** Ids of the deleted sessions, as many as fit. */
  readonly sessions?: readonly string[] | undefined;
}

const COUNTS = ['kept', 'deleted', 'freedBytes', 'sweptFiles', 'errors'] as const;

/** The result as one line of at most {@link MAX_RESULT_BYTES}. */
export function formatCleanupResult(result: CleanupResult): string {
  return JSON.stringify(encoded(fitCleanupResult(result)));
}

/** As it is in JSON: the outcomes are one string. */
function encoded({ outcomes, ...rest }: Partial<CleanupResult>): object {
  return { ...rest, ...(outcomes && { outcomes: outcomes.map((outcome) => LETTERS[outcome]).join('') }) };
}

function decoded(value: unknown): DeletionOutcome[] | undefined {
  if (typeof value !== 'string') return undefined;
  const outcomes = Object.keys(LETTERS) as DeletionOutcome[];
  const found = value.split('').map((letter) => outcomes.find((outcome) => LETTERS[outcome] === letter));
  return found.every((outcome) => outcome !== undefined) ? found : undefined;
}

/** The result with a long message truncated, and without the volumes and ids that don't fit. */
export function fitCleanupResult(result: CleanupResult): CleanupResult {
  const { message, volumes = [], sessions = [], ...rest } = result;
  const head = { ...rest, ...(message !== undefined && { message: cut(message, MAX_MESSAGE_LENGTH) }) };
  const room = MAX_RESULT_BYTES - Buffer.byteLength(JSON.stringify({ ...encoded(head), volumes: [], sessions: [] }));
  // Volumes first: the log has the ids too.
  const measured = fitting(volumes, room);
  const deleted = fitting(sessions, measured.room);
  return {
    ...head,
    ...(measured.items.length > 0 && { volumes: measured.items }),
    ...(deleted.items.length > 0 && { sessions: deleted.items }),
  };
}

/** The first items that fit into so many bytes of JSON, each with a comma, and the remaining bytes. */
function fitting<T>(items: readonly T[], bytes: number): { items: T[]; room: number } {
  let room = bytes;
  const fit: T[] = [];
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item)) + 1;
    if (size > room) break;
    room -= size;
    fit.push(item);
  }
  return { items: fit, room };
}

/**
 * Parses a termination message. Undefined for anything but a whole result, such as the log of a process that died, or text of another
 * writer. Unknown fields are ignored.
 */
export function parseCleanupResult(text: string): CleanupResult | undefined {
  if (Buffer.byteLength(text) > MAX_RESULT_BYTES) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const found = value as Record<string, unknown>;
  const { result, dryRun, message, volumes, sessions } = found;
  const outcomes = decoded(found['outcomes']);
  if ((result !== 'Succeeded' && result !== 'Failed') || typeof dryRun !== 'boolean') return undefined;
  if (!COUNTS.every((key) => Number.isSafeInteger(found[key]) && Number(found[key]) >= 0)) return undefined;
  if (message !== undefined && typeof message !== 'string') return undefined;
  if (found['outcomes'] !== undefined && outcomes === undefined) return undefined;
  if (volumes !== undefined && !(Array.isArray(volumes) && volumes.every(isMeasuredVolume))) return undefined;
  if (sessions !== undefined && !(Array.isArray(sessions) && sessions.every(isSessionId))) return undefined;
  const { kept, deleted, freedBytes, sweptFiles, errors } = found as Record<(typeof COUNTS)[number], number>;
  return {
    result,
    dryRun,
    kept,
    deleted,
    freedBytes,
    sweptFiles,
    errors,
    ...(message !== undefined && { message: cut(message, MAX_MESSAGE_LENGTH) }),
    ...(outcomes !== undefined && { outcomes }),
    ...(volumes !== undefined && { volumes: volumes.map(plainVolume) }),
    ...(sessions !== undefined && { sessions: sessions as string[] }),
  };
}

const isPercent = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 100;

function isMeasuredVolume(value: unknown): value is MeasuredVolume {
  if (typeof value !== 'object' || value === null) return false;
  const { name, space, size, files } = value as Record<string, unknown>;
  const isSize = typeof size === 'number' && Number.isFinite(size) && size >= 0;
  return typeof name === 'string' && isPercent(space) && isSize && (files === undefined || isPercent(files));
}

const plainVolume = ({ name, space, size, files }: MeasuredVolume): MeasuredVolume => ({
  name,
  space,
  size,
  ...(files !== undefined && { files }),
});

/** At most so many printable ASCII characters: the text ends up in a status and in a log. */
function cut(text: string, length: number): string {
  const plain = text.replace(/[^ -~]/gu, '?');
  return plain.length <= length ? plain : `${plain.slice(0, length - 3)}...`;
}
