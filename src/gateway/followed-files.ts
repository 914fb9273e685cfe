/** Files that somebody else replaces while the gateway runs: read at the start, and looked at again at intervals. */
import type { Timers } from '../copilot/index.ts';
import { toError } from '../kube/types/errors.ts';

/** What is followed, and how. */
export interface FollowedFilesOptions<T> {
  /** Reads them. @throws Error if they cannot be read, or cannot be used */
  readonly read: () => T;
  readonly isSame: (a: T, b: T) => boolean;
  readonly timers: Timers;
  /** A new content is used from now on. */
  readonly renewed: () => void;
  /** What is there cannot be used, and the content before stays: called once for each message. */
  readonly failed: (message: string) => void;
}

/** A mounted Secret or ConfigMap is replaced by the kubelet, which no watch of the file sees in every kernel: so it is looked at. Ms. */
const LOOK_MS = 20_000;

/** The content, which is always one that can be used. */
export class FollowedFiles<T> {
  readonly #options: FollowedFilesOptions<T>;
  #content: T;
  #timer: { cancel(): void } | undefined;
  /** What was wrong at the last look. */
  #problem: string | undefined;

  /** @throws what `read` throws */
  constructor(options: FollowedFilesOptions<T>) {
    this.#options = options;
    this.#content = options.read();
  }

  get content(): T {
    return this.#content;
  }

  /** Calls `changed` with each new content, until `stop`. */
  follow(changed: (content: T) => void): void {
    this.#timer = this.#options.timers.setTimer(LOOK_MS, () => {
      this.#look(changed);
      this.follow(changed);
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #look(changed: (content: T) => void): void {
    const { read, isSame, renewed, failed } = this.#options;
    try {
      const content = read();
      this.#problem = undefined;
      if (isSame(content, this.#content)) return;
      this.#content = content;
      changed(content);
      renewed();
    } catch (error) {
      const { message } = toError(error);
      if (message !== this.#problem) failed(message);
      this.#problem = message;
    }
  }
}
