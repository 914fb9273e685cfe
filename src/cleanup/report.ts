/** The report of a run: what it has done so far, in counts and in its log. */
import type { Logger } from 'pino';
import type { CleanupResult, DeletionOutcome, MeasuredVolume } from '../resources/cleanup-result.ts';
import type { RemovalPermission } from '../resources/session-removal.ts';
import { statusMessage, fullMessage } from './failure.ts';

/** One deletion. `message` says why. */
export interface DeletedSession {
  readonly target: string;
  readonly sessionId: string;
  readonly bytes: number;
  readonly message: string;
}

/** Collects the results of the steps. */
export class CleanupReport {
  readonly dryRun: boolean;
  readonly #log: Logger;
  readonly #sessions: string[] = [];
  readonly #volumes: MeasuredVolume[] = [];
  /** Of requested deletions, in their order; of several targets, the first that is not NotFound. */
  readonly #outcomes = new Map<string, DeletionOutcome>();
  #kept = 0;
  #freedBytes = 0;
  #sweptFiles = 0;
  #errors = 0;
  #message: string | undefined;

  constructor(dryRun: boolean, log: Logger) {
    this.dryRun = dryRun;
    this.#log = log;
  }

  kept(): void {
    this.#kept += 1;
  }

  deleted({ target, sessionId, bytes, message }: DeletedSession): void {
    this.#sessions.push(sessionId);
    this.#freedBytes += bytes;
    this.#log.info({ target, session: sessionId, bytes, why: message }, this.dryRun ? 'would delete' : 'deleted');
  }

  /** It is kept: the policy refuses its removal. Data whose owner can't be read fails the run, that of another owner does not. */
  refused(target: string, sessionId: string, { reason, message }: RemovalPermission): void {
    this.kept();
    if (reason === 'OwnedByAnother') this.#log.info({ target, session: sessionId, why: message }, 'kept');
    else this.error(`${target}: session ${sessionId} was not deleted: ${message}`);
  }

  /** Another run or client has deleted it, which is no error. */
  alreadyGone(target: string, sessionId: string): void {
    this.#log.info({ target, session: sessionId }, 'already gone');
  }

  swept(target: string, path: string, bytes: number): void {
    this.#sweptFiles += 1;
    this.#freedBytes += bytes;
    this.#log.info({ target, path, bytes }, this.dryRun ? 'would sweep' : 'swept');
  }

  /** The outcome of one requested deletion, as far as `act` reports it here. An error that it throws ends the run. */
  async outcomeOf(sessionId: string, act: () => Promise<void>): Promise<void> {
    const [deleted, kept, errors] = [this.#sessions.length, this.#kept, this.#errors];
    await act();
    let outcome: DeletionOutcome = 'NotFound';
    if (this.#errors > errors) outcome = 'Failed';
    else if (this.#kept > kept) outcome = 'OwnedByAnother';
    else if (this.#sessions.length > deleted) outcome = 'Deleted';
    const before = this.#outcomes.get(sessionId) ?? 'NotFound';
    this.#outcomes.set(sessionId, before === 'NotFound' ? outcome : before);
  }

  /** How full a volume is afterwards. */
  measured(volume: MeasuredVolume): void {
    this.#volumes.push(volume);
  }

  /** The run fails, and continues with the rest. */
  error(message: string): void {
    this.#fail(message, message);
  }

  /** The same with an error, whose full text is in the log only. */
  failed(what: string, error: unknown): void {
    this.#fail(`${what}: ${statusMessage(error)}`, `${what}: ${fullMessage(error)}`);
  }

  result(): CleanupResult {
    const more = this.#errors - 1;
    const message = more > 0 ? `${this.#message} (and ${more} more ${more === 1 ? 'error' : 'errors'})` : this.#message;
    return {
      result: this.#errors === 0 ? 'Succeeded' : 'Failed',
      dryRun: this.dryRun,
      kept: this.#kept,
      deleted: this.#sessions.length,
      freedBytes: this.#freedBytes,
      sweptFiles: this.#sweptFiles,
      errors: this.#errors,
      ...(message !== undefined && { message }),
      ...(this.#outcomes.size > 0 && { outcomes: [...this.#outcomes.values()] }),
      ...(this.#volumes.length > 0 && { volumes: this.#volumes }),
      ...(this.#sessions.length > 0 && { sessions: this.#sessions }),
    };
  }

  #fail(message: string, reason: string): void {
    this.#errors += 1;
    this.#message ??= message;
    this.#log.error({ reason }, 'failed');
  }
}
