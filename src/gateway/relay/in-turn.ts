/** Does one thing after the other, in the order in which they were asked for. */
export class InTurn {
  #isBusy = false;
  /** Each begins a task that waits. */
  readonly #waiting = new Set<() => void>();

  /** Whether a task is under way, or waits. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Resolves with what the task does, or with undefined if `gone` aborts before it has begun: then it is not done, and not kept. */
  async run<T>(task: () => Promise<T>, gone?: AbortSignal): Promise<T | undefined> {
    const before = this.#isBusy ? this.#wait(gone) : Promise.resolve(true);
    this.#isBusy = true;
    if (!(await before)) return undefined;
    try {
      return await task();
    } finally {
      this.#next();
    }
  }

  /** Resolves to whether its turn has come. */
  async #wait(gone: AbortSignal | undefined): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const begin = (): void => resolve(true);
    const leave = (): void => {
      this.#waiting.delete(begin);
      resolve(false);
    };
    this.#waiting.add(begin);
    gone?.addEventListener('abort', leave);
    if (gone?.aborted === true) leave();
    const isBegun = await promise;
    gone?.removeEventListener('abort', leave);
    return isBegun;
  }

  #next(): void {
    const [begin] = this.#waiting;
    if (begin === undefined) return void (this.#isBusy = false);
    this.#waiting.delete(begin);
    begin();
  }
}
