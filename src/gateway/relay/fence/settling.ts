/** Writes that sessions are where they were brought to. Nobody waits for that, and what could not be written is written later. */
import type { Clock } from '../../../kube/clock/clock.ts';
import { CoordinationUnavailableError, type RecordResult, type SessionRecord } from '../../locks/store.ts';

export interface SettlingOptions {
  /** Writes it. */
  readonly settle: (sessionId: string, record: SessionRecord) => Promise<RecordResult>;
  /** Whether the record is the last one that this process knows, as others come in its place. */
  readonly isLast: (sessionId: string, record: SessionRecord) => boolean;
  readonly settled: (sessionId: string, record: SessionRecord) => void;
  readonly clock: Pick<Clock, 'setTimer'>;
  readonly onFailure: (method: string, error: unknown) => void;
}

/** After which a store that was away is asked again, in ms. */
const AGAIN_MS = 5_000;

/** Of one tenant. */
export class Settling {
  readonly #options: SettlingOptions;
  /** What the store did not take, by session. */
  readonly #open = new Map<string, SessionRecord>();
  #timer: { cancel(): void } | undefined;
  #isClosed = false;

  constructor(options: SettlingOptions) {
    this.#options = options;
  }

  /** The session is at the record's place, and nowhere else. */
  async settle(sessionId: string, record: SessionRecord): Promise<void> {
    const { settle, settled, onFailure } = this.#options;
    try {
      const result = await settle(sessionId, record);
      this.#open.delete(sessionId);
      if (result.outcome === 'Won') settled(sessionId, result.record);
    } catch (error) {
      onFailure('settle the record', error);
      if (error instanceof CoordinationUnavailableError) this.#later(sessionId, record);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#open.clear();
  }

  #later(sessionId: string, record: SessionRecord): void {
    if (this.#isClosed) return;
    this.#open.set(sessionId, record);
    this.#timer ??= this.#options.clock.setTimer(AGAIN_MS, () => void this.#again());
  }

  /** One after the other: while the store is away the first one says so. */
  async #again(): Promise<void> {
    this.#timer = undefined;
    for (const [sessionId, record] of this.#open) {
      if (this.#options.isLast(sessionId, record)) await this.settle(sessionId, record);
      else this.#open.delete(sessionId);
      if (this.#timer !== undefined) return;
    }
  }
}
