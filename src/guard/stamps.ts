/**
 * The epochs on the shared volume: for each session a directory with a file for the epoch under which a pod has it, named by the epoch and
 * created atomically, and beside it one that says that the pod has closed it. Servers look at no directory whose name begins with a dot.
 */
import { isObject } from '../copilot/index.ts';
import { epochsOf, type EpochHolder } from '../resources/guard-protocol.ts';
import type { Stamp } from './fence.ts';

/** Files on the shared volume, by paths below its root. What fails otherwise rejects. */
export interface StampFiles {
  /** Names in a directory; none if there is no such directory. */
  list(directory: string): Promise<readonly string[]>;
  /** Undefined: there is no such file. */
  read(path: string): Promise<string | undefined>;
  /** Creates the file with all of its text, durably; false: there is one of this name. Directories come by themselves. */
  create(path: string, text: string): Promise<boolean>;
  /** Puts the text in place of the file's, durably and at once for every reader. */
  replace(path: string, text: string): Promise<void>;
  /** Does nothing if there is no such file. */
  remove(path: string): Promise<void>;
}

/** Begins the names of files that are not complete yet. */
export const PARTIAL = '.partial-';

const CLAIM = /^[1-9][0-9]{0,15}$/;
const NAME = /^([1-9][0-9]{0,15})(?:\.closed)?$/;
const CLOSED = '.closed';
/** Reads of a directory in which other guards replace files all the time. */
const MOST_READS = 10;

/** Stamps of one guard. */
export class Stamps {
  readonly #files: StampFiles;
  readonly #self: EpochHolder;

  constructor(files: StampFiles, self: EpochHolder) {
    this.#files = files;
    this.#self = self;
  }

  /** What is stamped, the highest epoch first. */
  async read(session: string): Promise<readonly Stamp[]> {
    const directory = epochsOf(session);
    for (let reads = 0; reads < MOST_READS; reads += 1) {
      const names = await this.#files.list(directory);
      const stamps = await Promise.all(claimsIn(names).map((epoch) => this.#readOne(directory, epoch)));
      if (stamps.every((stamp) => stamp !== undefined)) return stamps;
      // A higher claim has taken the place of one of them since.
    }
    throw new Error(`the epochs of session ${session} change while they are read`);
  }

  /** Whether the epoch is this pod's now. What is read after it decides whether it may stay so. */
  async claim(session: string, epoch: number): Promise<boolean> {
    const directory = epochsOf(session);
    const path = `${directory}/${epoch}`;
    const { server, pod } = this.#self;
    if (await this.#files.create(path, JSON.stringify({ session, server, pod }))) return true;
    const text = await this.#files.read(path);
    // An earlier attempt whose end was not seen.
    return text !== undefined && holderIn(text, directory).pod === pod;
  }

  /** Takes a claim of this pod back. */
  async unclaim(session: string, epoch: number): Promise<void> {
    await this.#files.remove(`${epochsOf(session)}/${epoch}`);
  }

  /** Removes what lower epochs have left, after it was decided that their holders have the session no more. */
  async forgetBelow(session: string, epoch: number): Promise<void> {
    const directory = epochsOf(session);
    for (const name of await this.#files.list(directory)) {
      const [, claimed] = NAME.exec(name) ?? [];
      // A partial file is one of a guard that died, or of one that comes too late, which notices it.
      if (name.startsWith(PARTIAL) || (claimed !== undefined && Number(claimed) < epoch))
        await this.#files.remove(`${directory}/${name}`);
    }
  }

  /** Says that this pod has closed the session under an epoch. */
  async close(session: string, under: number): Promise<void> {
    for (const { epoch, holder, closedUnder = 0 } of await this.read(session)) {
      if (holder.pod !== this.#self.pod || epoch > under || closedUnder >= under) continue;
      await this.#files.replace(`${epochsOf(session)}/${epoch}${CLOSED}`, JSON.stringify({ under }));
    }
  }

  async #readOne(directory: string, epoch: number): Promise<Stamp | undefined> {
    const text = await this.#files.read(`${directory}/${epoch}`);
    if (text === undefined) return undefined;
    const closed = await this.#files.read(`${directory}/${epoch}${CLOSED}`);
    const closedUnder = closed === undefined ? undefined : underIn(closed, directory);
    return { epoch, holder: holderIn(text, directory), closedUnder };
  }
}

/** A stamp says what no guard wrote: a file server has lost a part of it, or somebody has changed it. It will not pass by itself. */
export class SpoiltStampError extends Error {
  override readonly name = 'SpoiltStampError';

  constructor(directory: string, options?: ErrorOptions) {
    super(
      `the epoch is not readable: suspend the tenant, remove ${directory} from the shared volume, and let it run again`,
      options,
    );
  }
}

/** The highest first. */
function claimsIn(names: readonly string[]): number[] {
  return names
    .filter((name) => CLAIM.test(name))
    .map(Number)
    .toSorted((a, b) => b - a);
}

function holderIn(text: string, directory: string): EpochHolder {
  const { server, pod } = fieldsOf(text, directory);
  if (typeof server !== 'string' || typeof pod !== 'string') throw new SpoiltStampError(directory);
  return { server, pod };
}

function underIn(text: string, directory: string): number {
  const { under } = fieldsOf(text, directory);
  if (typeof under !== 'number' || !Number.isSafeInteger(under)) throw new SpoiltStampError(directory);
  return under;
}

function fieldsOf(text: string, directory: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch (error) {
    throw new SpoiltStampError(directory, { cause: error });
  }
}
