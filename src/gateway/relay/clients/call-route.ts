/** Holds a call of one client until its tenant is awake, and it is known which server has its session and whose that is. */
import type { MethodRule } from '../../model.ts';
import { serverStatus } from '../../pong.ts';
import type { ClientCalls } from './client-calls.ts';
import type { IsolatedCalls } from './isolated.ts';
import { sessionIdOf } from '../model.ts';
import type { ClientRequest, RequestingClient } from './open-requests.ts';
import { unhandled } from '../refusals.ts';
import type { Replies } from './replies.ts';
import type { TenantHomes } from '../tenant/tenant-homes.ts';
import { WaitingCalls } from './waiting-calls.ts';

export interface CallRouteOptions {
  /** The servers of the client's tenant. */
  readonly homes: TenantHomes;
  /** The client uses the tenant, so that it is not idle. */
  readonly onUse: () => void;
  /** The users of the tenant are kept apart. Whoever states no user is not admitted to it. */
  readonly isIsolated: boolean;
}

/** Where its calls go from here. */
export interface CallRouteEnds {
  readonly replies: Replies;
  /** Undefined: the clients of the tenant are one trust domain. */
  readonly isolated: IsolatedCalls<ClientRequest> | undefined;
  readonly calls: ClientCalls;
}

/** A call with what is done with its method. */
interface RuledRequest {
  readonly rule: MethodRule;
  readonly request: ClientRequest;
}

/** Whether a call uses the tenant, so that it keeps it awake: those about one session do, and lists do not. */
function usesTenant(method: string, { merge }: MethodRule): boolean {
  return method.startsWith('session.') && merge === undefined;
}

/** Of one client. */
export class CallRoute {
  readonly #client: RequestingClient;
  readonly #ends: CallRouteEnds;
  readonly #options: CallRouteOptions;
  /** Calls about sessions of which it is not known which server has them. */
  readonly #looking: WaitingCalls<RuledRequest>;

  constructor(client: RequestingClient, ends: CallRouteEnds, options: CallRouteOptions) {
    this.#client = client;
    this.#ends = ends;
    this.#options = options;
    this.#looking = new WaitingCalls(
      () => client.gone,
      ({ request }) => ends.replies.settle(request.id),
    );
  }

  /** Takes a call that goes to a server. Has the tenant woken first if it sleeps. */
  take(rule: MethodRule, request: ClientRequest): void {
    const { homes, onUse } = this.#options;
    const { replies } = this.#ends;
    const { id, method, bytes } = request;
    const isUse = usesTenant(method, rule);
    if (isUse) onUse();
    if (homes.gate.isOpen) return this.#passGate(rule, request);
    // Applications ask for it as they start, and it is not worth to start a server.
    if (method === 'status.get') return replies.reply(id, serverStatus(id));
    homes.gate.hold(this.#client, {
      bytes,
      // Who leaves a session does not need it.
      wakes: isUse && rule.rewrite !== 'detach',
      go: () => this.#passGate(rule, request),
      refuse: (why, reason) => {
        if (this.#client.isEnded) replies.settle(id);
        else replies.reply(id, replies.answers.away(reason, id, why));
      },
    });
  }

  #passGate(rule: MethodRule, request: ClientRequest): void {
    if (this.#options.isIsolated) this.#isolate(request, rule.rewrite === 'own');
    else this.#find({ rule, request });
  }

  #isolate(request: ClientRequest, lists: boolean): void {
    const { homes } = this.#options;
    const { isolated, replies } = this.#ends;
    // Nobody is admitted without a user; if somebody were, nothing would be theirs.
    if (isolated === undefined || homes.owners === undefined) {
      return replies.reply(request.id, unhandled(request.id, request.method));
    }
    isolated.take(homes, homes.owners, request, lists);
  }

  /** Finds out first which server has the session that the call names, or will have it. */
  #find(call: RuledRequest): void {
    const { homes } = this.#options;
    const { rule, request } = call;
    const sessionId = sessionIdOf(request.params) ?? '';
    if (sessionId === '') return this.#ends.calls.make(rule, request);
    if (!this.#looking.has(sessionId) && homes.find(sessionId) !== undefined) return this.#found(call, sessionId);
    this.#looking.add(sessionId, call, async () => {
      const why = await homes.look(sessionId);
      return (each) => {
        if (this.#client.isEnded) return;
        if (homes.find(sessionId) === undefined) {
          if (why !== undefined) return this.#ends.replies.pass(each.request.id, { kind: 'Away', why });
          if (homes.isShared || each.request.method === 'session.create') homes.place(sessionId, this.#client.user);
        }
        this.#found(each, sessionId);
      };
    });
  }

  #found({ rule, request }: RuledRequest, sessionId: string): void {
    const refusal = this.#options.homes.refusal(sessionId, request.method);
    if (refusal === undefined) this.#ends.calls.make(rule, request);
    else this.#ends.replies.pass(request.id, refusal);
  }
}
