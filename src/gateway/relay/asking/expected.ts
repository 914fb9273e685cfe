/** Who may yet come to answer what a session asks, of those that are attached, were the last ones, or have left in the turn that runs. */
import type { Attached } from '../setup/attached.ts';
import type { Declaration, SessionClient } from '../model.ts';
import { declaredBy } from './requests.ts';
import type { Turn } from '../turns/turn.ts';

/** Those that may come to one session. */
export class Expected {
  readonly #attached: Pick<Attached, 'loadedWith'>;
  readonly #turn: Pick<Turn<SessionClient>, 'isTaken' | 'ends'>;
  /** What clients had declared here that do not any more, by its name. The names are of a table, so they are bounded whoever comes and goes. */
  readonly #had = new Set<string>();
  /** The same of those that left in a turn. */
  readonly #left = new Set<string>();
  /** That turn, by the ends before it. */
  #leftIn = -1;
  /** A turn that others know the beginning of. */
  #unknownIn = -1;

  constructor(attached: Pick<Attached, 'loadedWith'>, turn: Pick<Turn<SessionClient>, 'isTaken' | 'ends'>) {
    this.#attached = attached;
    this.#turn = turn;
  }

  /** A client states anew what it declares, and had declared this. */
  restated(declaration: Declaration): void {
    for (const by of declaredBy(declaration)) this.#had.add(by);
  }

  /** A client has left that declared this, or is not waited for any more. */
  left(declaration: Declaration): void {
    const { isTaken, ends } = this.#turn;
    this.restated(declaration);
    if (!isTaken) return;
    if (this.#leftIn !== ends) this.#left.clear();
    this.#leftIn = ends;
    for (const by of declaredBy(declaration)) this.#left.add(by);
  }

  /** A turn goes on that began at another home: who had left it there is not known. */
  goesOn(): void {
    this.#unknownIn = this.#turn.ends;
  }

  /**
   * Whether somebody may come who has declared one of these: it is attached, it was the last one and may come back, or it has left in the turn that runs.
   * But for hooks, nobody is said not to come outside of a turn, because it is not known since when it is asked; nor if nobody here had declared it,
   * because then the server asks for another reason.
   */
  has(...names: readonly string[]): boolean {
    const { isTaken, ends } = this.#turn;
    const isIn = (known: ReadonlySet<string>): boolean => names.some((by) => known.has(by));
    if (this.#attached.loadedWith.some((declaration) => isIn(new Set(declaredBy(declaration))))) return true;
    if (!names.includes('hooks') && !(isTaken && isIn(this.#had))) return true;
    if (!isTaken) return false;
    return this.#unknownIn === ends || (this.#leftIn === ends && isIn(this.#left));
  }
}
