// Servers that are scripted behind real guards, on one shared volume that is in memory; and connections to them.
import type { FenceStore } from '../../src/guard/fence-log.ts';
import type { Fence } from '../../src/guard/fence.ts';
import type { Line, LineEvents } from '../../src/guard/line.ts';
import { Pair } from '../../src/guard/pair.ts';
import { Sessions } from '../../src/guard/sessions.ts';
import { Stamps, type StampFiles } from '../../src/guard/stamps.ts';
import type { SessionGrant } from '../../src/resources/session-grant.ts';
import { JournallingCLI, type Entry } from './journalling-cli.ts';
import type { Turns } from './turns.ts';

/** What goes otherwise than it should. */
export interface GuardMutant {
  readonly checksNothing?: boolean;
  readonly movesWithoutClose?: boolean;
  readonly forgetsFences?: boolean;
  readonly hasNoStamps?: boolean;
  readonly writesBlindly?: boolean;
}

/** Files that everyone sees at once, and that take their time. */
export class MemoryFiles implements StampFiles {
  readonly #files = new Map<string, string>();
  readonly #turn: () => Promise<void>;

  constructor(turn: () => Promise<void> = () => Promise.resolve()) {
    this.#turn = turn;
  }

  async list(directory: string): Promise<readonly string[]> {
    await this.#turn();
    return [...this.#files.keys()]
      .filter((path) => path.startsWith(`${directory}/`))
      .map((path) => path.slice(directory.length + 1));
  }

  async read(path: string): Promise<string | undefined> {
    await this.#turn();
    return this.#files.get(path);
  }

  async create(path: string, text: string): Promise<boolean> {
    await this.#turn();
    if (this.#files.has(path)) return false;
    this.#files.set(path, text);
    return true;
  }

  async replace(path: string, text: string): Promise<void> {
    await this.#turn();
    this.#files.set(path, text);
  }

  async remove(path: string): Promise<void> {
    await this.#turn();
    this.#files.delete(path);
  }
}

/** Fences that live as long as the pod. */
export class MemoryFences implements FenceStore {
  readonly all = new Map<string, Fence>();

  async find(session: string): Promise<Fence | undefined> {
    return this.all.get(session);
  }

  async save(session: string, fence: Fence): Promise<void> {
    this.all.set(session, fence);
  }
}

/** Two ends, between which bytes take their time. */
export function linePair(
  turns: Turns,
  who: string,
): [near: (events: LineEvents) => Line, far: (events: LineEvents) => Line] {
  const events: (LineEvents | undefined)[] = [undefined, undefined];
  let isClosed = false;
  const close = (): void => {
    if (isClosed) return;
    isClosed = true;
    for (const each of events) turns.later(who, () => each?.closed());
  };
  const queues: Buffer[][] = [[], []];
  const end =
    (at: 0 | 1) =>
    (mine: LineEvents): Line => {
      events[at] = mine;
      const other = at === 0 ? 1 : 0;
      const deliver = (): void => {
        const bytes = queues[at]?.shift();
        if (bytes !== undefined && !isClosed) events[other]?.data(bytes);
      };
      return {
        write: (bytes) => {
          queues[at]?.push(bytes);
          turns.later(who, deliver);
          return true;
        },
        pause: () => undefined,
        resume: () => undefined,
        end: () => turns.later(who, () => events[other]?.ended()),
        finish: close,
        destroy: close,
      };
    };
  return [end(0), end(1)];
}

/** A pod: a server, its guard, and what lives as long as both. */
export class GuardedPod {
  readonly pod: string;
  readonly server: string;
  readonly #turns: Turns;
  readonly #journals: Map<string, Entry[]>;
  readonly #files: StampFiles;
  readonly #mutant: GuardMutant;
  #fences = new MemoryFences();
  #pairs = new Set<Pair>();
  #sessions: Pick<Sessions, 'grant' | 'call' | 'epochs'>;
  #starts = 0;
  #life: Life = { isOver: false };
  cli: JournallingCLI;
  isGone = false;

  constructor(turns: Turns, journals: Map<string, Entry[]>, files: StampFiles, pod: string, mutant: GuardMutant) {
    this.pod = pod;
    this.server = `team/${pod}`;
    this.#turns = turns;
    this.#journals = journals;
    this.#files = mutant.hasNoStamps === true ? new MemoryFiles() : files;
    this.#mutant = mutant;
    this.#sessions = this.#guard();
    this.cli = this.#start();
  }

  /** Undefined: nobody listens. */
  connect(events: LineEvents): Line | undefined {
    if (this.isGone) return undefined;
    const [near, client] = linePair(this.#turns, this.pod);
    const [dial, accepted] = linePair(this.#turns, this.pod);
    this.cli.accept(accepted);
    const pair: Pair = new Pair({
      client,
      dial: (own) => {
        this.#turns.later(this.pod, () => own.connected());
        return dial(own);
      },
      sessions: this.#sessions,
      readGrant: (text) => JSON.parse(String(text)) as SessionGrant,
      observer: {
        unreachable: () => undefined,
        refused: () => undefined,
        broken: (side, message) => {
          throw new Error(`${side}: ${message}`);
        },
        heard: () => undefined,
        ended: () => this.#pairs.delete(pair),
      },
    });
    this.#pairs.add(pair);
    return near(events);
  }

  /** The guard's process dies, and another one starts in its container's place. */
  killGuard(): void {
    if (this.#mutant.forgetsFences === true) this.#fences = new MemoryFences();
    this.#life.isOver = true;
    this.cut();
    this.#sessions = this.#guard();
  }

  /** The server's process dies, and another one starts. */
  killServer(): void {
    this.cli.isDead = true;
    this.cut();
    this.cli = this.#start();
  }

  /** All of it is gone for sure. */
  kill(): void {
    this.cli.isDead = true;
    this.isGone = true;
    this.#life.isOver = true;
    this.cut();
  }

  /** All connections are lost. */
  cut(): void {
    for (const pair of this.#pairs) pair.destroy();
  }

  #start(): JournallingCLI {
    this.#starts += 1;
    return new JournallingCLI(this.#turns, this.#journals, `${this.pod}.${this.#starts}`);
  }

  #guard(): Pick<Sessions, 'grant' | 'call' | 'epochs'> {
    if (this.#mutant.checksNothing === true)
      return {
        grant: () => Promise.resolve(undefined),
        call: ({ pass }) => pass(undefined),
        epochs: () => Promise.resolve([]),
      };
    const self = { tenant: 'team/acme', server: this.server, pod: this.pod };
    const life = { isOver: false };
    this.#life = life;
    const fences = this.#fences;
    return new Sessions({
      self,
      fences: {
        all: fences.all,
        find: (session) => whileAlive(life, fences.find(session)),
        save: (session, fence) => whileAlive(life, fences.save(session, fence)),
      },
      stamps: new Stamps(filesOf(life, this.#files), self),
      failed: (error) => {
        throw error;
      },
    });
  }
}

interface Life {
  isOver: boolean;
}

/** What a process has begun comes to its end, and nothing follows from it when the process is dead. */
async function whileAlive<T>(life: Life, result: Promise<T>): Promise<T> {
  const value = await result;
  return life.isOver ? new Promise<T>(() => undefined) : value;
}

function filesOf(life: Life, files: StampFiles): StampFiles {
  return {
    list: (directory) => whileAlive(life, files.list(directory)),
    read: (path) => whileAlive(life, files.read(path)),
    create: (path, text) => whileAlive(life, files.create(path, text)),
    replace: (path, text) => whileAlive(life, files.replace(path, text)),
    remove: (path) => whileAlive(life, files.remove(path)),
  };
}
