/** Gives the sessions on one server the login of their tenant, and gives it again when it has changed. */
import { isDeepStrictEqual } from 'node:util';
import { unquotedMessageOf } from '../../../copilot/index.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import type { SessionModel, TenantModel } from '../../model.ts';
import type { RelayLimits } from '../model.ts';
import type { Session } from '../session/session.ts';

export interface InjectionOptions {
  readonly clock: Pick<Clock, 'setTimer'>;
  readonly limits: Pick<RelayLimits, 'modelReadMs'>;
  /** What the tenant says of it now; undefined: clients bring their login. */
  readonly source: () => TenantModel | undefined;
  readonly sessions: () => Iterable<Session>;
  /** Tells the server of a session that is loaded, and calls `taken` if it took it. */
  readonly redeclare: (session: Session, params: object, taken: () => void) => Promise<void>;
  /** Has the server unload a session that does nothing: its next call loads it as a whole. */
  readonly reload: (session: Session) => Promise<void>;
  readonly onProblem: (message: string) => void;
}

/** Sessions of a server that are told of a new login at the same time: each is a call that the server works on. */
const RENEWED_AT_ONCE = 8;

/** Of one server. Only while it has sessions in memory with a login of the tenant, the login is read again and again. */
export class Injection {
  readonly #options: InjectionOptions;
  /** What each session was given last. Of a session that is not loaded it means nothing. */
  readonly #given = new WeakMap<Session, SessionModel>();
  #timer: { cancel(): void } | undefined;
  /** What the last look was at. */
  #looked: TenantModel | undefined;
  #isLooking = false;

  constructor(options: InjectionOptions) {
    this.#options = options;
  }

  /** Whether sessions have the login of their tenant, whatever clients say. */
  get isOn(): boolean {
    return this.#options.source() !== undefined;
  }

  /** The login for a session that the server is about to load; undefined: clients bring it. @throws ModelUnavailableError */
  async read(): Promise<SessionModel | undefined> {
    return this.#options.source()?.read(this.#options.limits.modelReadMs);
  }

  /** The server has loaded the session with this login. */
  loaded(session: Session, model: SessionModel | undefined): void {
    if (model === undefined) this.#given.delete(session);
    else this.#given.set(session, model);
    this.#lookLater();
  }

  /** What the session was given last. */
  given(session: Session): SessionModel | undefined {
    return this.#given.get(session);
  }

  /** What a session that is loaded may be told: not a login of another kind, for which it must be loaded anew. */
  tellable(session: Session, model: SessionModel | undefined): SessionModel | undefined {
    const given = this.given(session);
    return session.isLoaded && model !== undefined && isOfOtherKind(given, model) ? given : model;
  }

  /** The tenant may say something else now: its sessions need not wait for the next look. */
  changed(): void {
    const source = this.#options.source();
    if (source !== undefined && source !== this.#looked && this.#loaded().length > 0) this.#look();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #lookLater(): void {
    if (!this.isOn || this.#isLooking) return;
    this.#timer ??= this.#options.clock.setTimer(this.#options.limits.modelReadMs, () => this.#look());
  }

  #look(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.close();
    void this.#give().finally(() => {
      this.#isLooking = false;
      if (this.#loaded().length > 0) this.#lookLater();
      this.changed();
    });
  }

  async #give(): Promise<void> {
    const source = this.#options.source();
    this.#looked = source;
    if (source === undefined || this.#loaded().length === 0) return;
    let model: SessionModel;
    try {
      model = await source.read(0);
    } catch (error) {
      // They keep what they have: a Secret that is written anew is gone for a moment.
      return this.#options.onProblem(unquotedMessageOf(error));
    }
    const waiting = this.#loaded();
    const renew = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) await this.#renew(next, model);
    };
    await Promise.all(Array.from({ length: RENEWED_AT_ONCE }, renew));
  }

  async #renew(session: Session, model: SessionModel): Promise<void> {
    const given = this.given(session);
    if (isDeepStrictEqual(given?.login, model.login)) return;
    if (isOfOtherKind(given, model)) return this.#options.reload(session);
    await this.#options.redeclare(session, model.login, () => void this.#given.set(session, model));
  }

  #loaded(): Session[] {
    return [...this.#options.sessions()].filter(({ isLoaded }) => isLoaded);
  }
}

/** A server adds a GitHub token to the provider that it was told before, and goes on to ask GitHub by the token after a provider. */
function isOfOtherKind(given: SessionModel | undefined, model: SessionModel): boolean {
  const kindOf = ({ login }: SessionModel) => Object.keys(login).toSorted();
  return given === undefined || !isDeepStrictEqual(kindOf(given), kindOf(model));
}
