/**
 * What the rooms of the gateway hand to each other: who was admitted, what is known of tenants and their servers, and the
 * two halves of a client's connection.
 */
import type { Isolation } from '../api/names.ts';

/** Who a client is, as admission found out. */
export interface Identity {
  /** The tenant that the client was admitted to. */
  readonly tenant: TenantRef;
  /** The user that it acts for; undefined: it stated none, and acts for the tenant's application. */
  readonly user: string | undefined;
  /** What it proved itself with. */
  readonly credential: 'Binding' | 'Kubernetes' | 'OIDC';
  /** When its credential expires, ms since the epoch; undefined: not by itself. */
  readonly expiresAt: number | undefined;
}

/** A tenant's namespace and name. */
export interface TenantRef {
  readonly namespace: string;
  readonly name: string;
}

/** A tenant as the gateway needs it. Objects of this type are replaced, never changed. */
export interface GatewayTenant extends TenantRef {
  readonly uid: string;
  /** Whether clients come through the gateway: `status.access`. Nobody is admitted to a tenant with `Direct`. */
  readonly access: 'Gateway' | 'Direct';
  /** Whether users see each other's sessions: `spec.isolation`. */
  readonly isolation: Isolation;
  /** SHA-256, in lower-case hex, of each credential that is valid: two while one is rotated. */
  readonly credentials: readonly string[];
  /** Its servers that can be reached now, by name. */
  readonly servers: readonly GatewayServer[];
  /** What the gateway puts into its sessions; undefined: clients bring it. The same object as long as the tenant says the same. */
  readonly model?: TenantModel | undefined;
}

/** The login of a tenant's model, and with it the address that it is for. */
export interface TenantModel {
  /** Reads it, unless it was read within `maxAgeMs`. @throws ModelUnavailableError */
  readonly read: (maxAgeMs: number) => Promise<SessionModel>;
}

/** What a session gets in place of what its clients say. It is secret. */
export interface SessionModel {
  /** A provider as a whole, or a GitHub token: as fields of `session.create` and `session.resume`. */
  readonly login: Readonly<Record<string, unknown>>;
  /** The model of a new session whose client names none. */
  readonly defaultModel?: string | undefined;
}

/** The login cannot be read, so a session would be without one, or with one of its client. The message is for clients. */
export class ModelUnavailableError extends Error {}

/** One server of a tenant, in one pod. */
export interface GatewayServer {
  /** `namespace/server`. */
  readonly key: string;
  readonly podUID: string;
  /** IP address of the pod. */
  readonly host: string;
  readonly port: number;
  /** Reads the server's connection token. @throws ApiError if the Secret cannot be read. */
  readonly token: () => Promise<string>;
  /** The server has refused the token: the next call of `token` reads it again. */
  readonly tokenRefused: () => void;
}

/** The tenants that the gateway knows. */
export interface Fleet {
  /** Whether all tenants and servers were listed: before that, an unknown tenant may exist. */
  readonly isSynced: boolean;
  find(tenant: TenantRef): GatewayTenant | undefined;
  /** Calls `listener` after each change of what `find` returns for the tenant. Returns the function that ends it. */
  onChange(listener: (tenant: TenantRef) => void): () => void;
}

/** Why a connection of a client is closed: a reason from a fixed set, for metrics and audit, and a sentence for the log. */
export interface CloseReason {
  readonly reason: string;
  readonly message: string;
}

/** An admitted client, as the relay sees it. */
export interface ClientLink {
  /** Unique in this process. */
  readonly id: number;
  readonly identity: Identity;
  /**
   * Queues the body of one frame for the client; after the end of the connection it does nothing. The bytes are valid only
   * during the call: what is not written at once is copied.
   */
  send(body: Buffer | string): void;
  /** Bytes that the client has yet to read. */
  readonly queuedBytes: number;
  /** Stops reading from the client, so that it feels back-pressure. */
  pause(): void;
  resume(): void;
  /** Ends the connection; `closed` of its handler follows. */
  close(reason: CloseReason): void;
}

/** What takes an admitted client's frames. */
export interface ClientHandler {
  /** The body of a frame, in the order of arrival. The bytes are valid only during the call. */
  frame(body: Buffer): void;
  /** The client has read what was queued for it. */
  drained(): void;
  /** Whether something of the client is under way: a request that is not answered, or a turn of one of its sessions. */
  readonly isBusy: boolean;
  /** How much of it is under way. */
  readonly work: ClientWork;
  /** The connection has ended, once and last. */
  closed(reason: CloseReason): void;
}

/** What is under way of a client. */
export interface ClientWork {
  /** Calls that are not answered. */
  readonly calls: number;
  /** Sessions that it is attached to. */
  readonly sessions: number;
}

/** Carries frames between admitted clients and servers. */
export interface Relay {
  attach(client: ClientLink): ClientHandler;
  /** The sessions that clients are attached to, or were a moment ago, of all tenants. */
  sessions(): SessionSummary[];
  /** The servers that clients were routed to. */
  servers(): ServerSummary[];
}

/** `Waiting`: for an answer of its clients. `Running`: a turn runs, or a prompt is on its way. `Idle`: neither. `Unloaded`: its server does not have it in memory. */
export const SESSION_STATES = ['Waiting', 'Running', 'Idle', 'Unloaded'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/** What may be known of a session from outside: nothing of what is said in it. */
export interface SessionSummary {
  readonly tenant: TenantRef;
  /** `namespace/server`; empty while the tenant has none. */
  readonly server: string;
  readonly id: string;
  /** When the first client attached, ms since the epoch; a session that was unloaded begins anew. */
  readonly since: number;
  readonly state: SessionState;
  /** Ids of the attached clients, in the order of attachment. */
  readonly clients: readonly number[];
  /** Prompts that wait for another client's turn. */
  readonly heldPrompts: number;
  /** Permissions, questions, tools and the like that wait for a client's answer. */
  readonly openQuestions: number;
  /** Bytes of its events from the server; one that went to several clients counts once. */
  readonly eventBytes: number;
}

/** `Dialling` includes the wait after a failed attempt. A server that is `Disconnected` is dialled for the next call. */
export const SERVER_STATES = ['Connected', 'Dialling', 'Disconnected'] as const;
export type ServerState = (typeof SERVER_STATES)[number];

/** What may be known of the connection to a server. */
export interface ServerSummary {
  readonly tenant: TenantRef;
  /** `namespace/server`; empty while the tenant has none. */
  readonly server: string;
  readonly state: ServerState;
  /** Calls that were sent and not answered, or wait for the connection; the gateway's own included. */
  readonly calls: number;
}

/** What is done with a call of a client. */
export interface MethodRule {
  /**
   * `relay`: it goes to the server as it is. `rewrite`: the relay changes it, or does something of its own with it.
   * `answer`: the gateway answers it. `deny`: it is answered as the server answers a method that it does not have.
   */
  readonly action: 'relay' | 'rewrite' | 'answer' | 'deny';
  /** Why, as a sentence for docs/methods.md and the audit log. */
  readonly reason: string;
  /** How it is rewritten; set exactly for `rewrite`. */
  readonly rewrite?: MethodRewrite | undefined;
  /** How it is answered; set exactly for `answer`. */
  readonly answer?: MethodAnswer | undefined;
}

/**
 * `attach`: `session.create` and `session.resume`, which attach the client to a session. `detach`: `session.detach` and
 * `session.destroy`. `send`: what starts a turn, and waits for the turn of another client. `delete`: what ends a session for
 * all. `keep`: what a server forgets with its process, and is told again after a restart: `session.options.update`,
 * `session.eventLog.registerInterest` and the like. `own`: what lists sessions, answered with those of the user. `login`: what takes a
 * GitHub token, which the gateway states where it has one.
 */
export type MethodRewrite = 'attach' | 'detach' | 'send' | 'delete' | 'keep' | 'own' | 'login';

/** `connect`: by the client room, also on a live connection. `ping`: without a server, so that it keeps none awake. */
export type MethodAnswer = 'connect' | 'ping';

/** Why a call is refused although its method is allowed. */
export interface ParamRefusal {
  /** Name of the rule, for the client, metrics and docs/methods.md. */
  readonly reason: string;
  /** Path of the parameter that is refused; undefined: the call is, whatever it has. */
  readonly parameter: string | undefined;
  /** A sentence for the client, with the remedy and without the value. */
  readonly message: string;
}

/** Which method of clients does what. */
export interface MethodRules {
  /** The rule of a method; one that is in no table is denied. */
  ruleOf(method: string): MethodRule;
  /** Why a call of an allowed method must not have these params; undefined: it may. `isInjected`: the gateway gives sessions their login. */
  checkParams(method: string, params: object, isInjected?: boolean): ParamRefusal | undefined;
  /** What every session has whatever its clients declare; undefined: nothing. */
  readonly forced?: ForcedParams | undefined;
}

/** Params of sessions whose agents must have no tools of the server. */
export interface ForcedParams {
  /** Of `session.create` and `session.resume`. */
  readonly declared: Readonly<Record<string, unknown>>;
  /** The same where the client states none of its own, which {@link MethodRules.checkParams} has accepted. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Of the `session.options.update` that follows whenever a server loads the session: it takes these nowhere else. */
  readonly options: Readonly<Record<string, unknown>>;
}
