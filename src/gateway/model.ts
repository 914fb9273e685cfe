/**
 * What the rooms of the gateway hand to each other: who was admitted, what is known of tenants and their servers, and the
 * two halves of a client's connection.
 */
import type { HibernationPhase, Isolation, Placement, TurnRule, UnavailableAction } from '../api/names.ts';
import type { HeldTurn, ServerPlaces, TenantCount } from '../resources/gateway-internal.ts';
import type { WakeAsk } from '../resources/operator-internal.ts';

export type { PodFate, PodFates } from '../resources/pod-fate.ts';

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
  /** Of one that is being woken: its servers that have a pod with an address, and may listen any moment; undefined: none. */
  readonly starting?: readonly GatewayServer[] | undefined;
  /** Its servers whose pods are about to be replaced or stopped; undefined: none. */
  readonly drains?: readonly StatedDrain[] | undefined;
  /**
   * `namespace/server` of its servers that have a volume, and so may have sessions, also while they do not serve. Default: those
   * that serve.
   */
  readonly volumes?: readonly string[] | undefined;
  /** What the gateway puts into its sessions; undefined: clients bring it. The same object as long as the tenant says the same. */
  readonly model?: TenantModel | undefined;
  /** Whether the annotation says that it gets no further clients and prompts; undefined: no. */
  readonly isPaused?: boolean | undefined;
  /** The annotation by whose change its clients are closed; undefined: there is none. */
  readonly kick?: string | undefined;
  /** What `spec.sessions` limits; undefined: nothing. */
  readonly limits?: TenantLimits | undefined;
  /** `spec.placement`; undefined: by load. */
  readonly placement?: Placement | undefined;
  /** `spec.rates`; undefined: clients connect and send as fast as they can. */
  readonly rates?: TenantRates | undefined;
  /** Whether it sleeps; undefined: it never does. */
  readonly sleep?: TenantSleep | undefined;
  /** `spec.topology`: whether its servers share one volume; undefined: each has its own. */
  readonly topology?: 'SharedStorage' | undefined;
  /** Of one whose servers share a volume: UIDs of all pods of its servers that the cache has, whatever they do. */
  readonly pods?: readonly string[] | undefined;
  /** The field by which its author has its servers stopped; undefined: they are to run, or to sleep. */
  readonly stoppedBy?: 'spec.suspend' | 'spec.replicas' | undefined;
}

/** The sleep of a tenant with `spec.hibernation`. */
export interface TenantSleep {
  /** After how long without use it is put to sleep, in ms. */
  readonly afterIdleMs: number;
  /** How long a wake may take, in ms. */
  readonly wakeTimeoutMs: number;
  readonly phase: HibernationPhase;
  /** It rises with each change of the phase; 0: it never slept. */
  readonly epoch: number;
  /** That the last wake has failed; `epoch`: when it did. */
  readonly failure?: { readonly epoch: number; readonly message: string } | undefined;
}

/** The limits that a tenant states for its sessions. An API server whose CRD is older has none of them. */
export interface TenantLimits {
  /** `permissionTimeout`, in ms; default: that of the relay. */
  readonly permissionTimeoutMs?: number | undefined;
  /** `maxConcurrent`: sessions that each server has in memory at once; default: any number. */
  readonly maxConcurrent?: number | undefined;
  /** `maxConcurrentTurns`: turns that each server runs at once; default: any number. */
  readonly maxConcurrentTurns?: number | undefined;
  /** `maxPerUser`: sessions of one user; default: any number. */
  readonly maxPerUser?: number | undefined;
  /** `unavailable`: what becomes of a call about a session whose server is away; default: it waits. */
  readonly unavailable?: UnavailableAction | undefined;
}

/** How fast clients may connect and send, as `spec.rates` of their tenant says; what is undefined is not limited. */
export interface RateLimit {
  readonly connectionsPerMinute?: number | undefined;
  readonly framesPerSecond?: number | undefined;
  readonly bytesPerSecond?: number | undefined;
}

/** The rates of all clients of a tenant together, and of those of each of its users. */
export interface TenantRates {
  readonly tenant?: RateLimit | undefined;
  readonly user?: RateLimit | undefined;
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

/** What a CopilotSession sets of its session: fields of `session.create` and `session.resume`, and what the gateway itself heeds. */
export interface SessionSettings {
  readonly model?: string | undefined;
  /** As the CLI takes it: thresholds from 0 to 1. */
  readonly infiniteSessions?: Readonly<Record<string, unknown>> | undefined;
  /** What becomes of prompts while the turn of another user runs; undefined: they wait in silence. No field of a call. */
  readonly turns?: TurnRule | undefined;
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

/** That the turns in a pod are to end, and no new ones begin: what the operator states before it replaces or stops the pod. */
export interface StatedDrain {
  /** `namespace/server`. */
  readonly server: string;
  /** It rises with each drain of a server of the tenant. */
  readonly epoch: number;
  readonly podUID: string;
  /** How long turns may take, in ms: when it began is told by the clock of another machine. */
  readonly timeoutMs: number;
  /** Whether another pod follows. */
  readonly comesBack: boolean;
}

/** How far a drain is in this process. */
export interface DrainProgress {
  readonly tenant: TenantRef;
  /** `namespace/server`. */
  readonly server: string;
  readonly epoch: number;
  /** Turns that it waits for. */
  readonly turns: number;
  /** This process has no connection to the pod, and makes none. */
  readonly isDrained: boolean;
}

/** The tenants that the gateway knows. */
export interface Fleet {
  /** Whether all tenants and servers were listed: before that, an unknown tenant may exist. */
  readonly isSynced: boolean;
  find(tenant: TenantRef): GatewayTenant | undefined;
  /** The tenants with servers that drain. */
  draining(): readonly TenantRef[];
  /** Calls `listener` after each change of what `find` returns for the tenant. Returns the function that ends it. */
  onChange(listener: (tenant: TenantRef) => void): () => void;
}

/** What lines of the audit log have, to be told from the rest of the log. */
export const AUDITED = { audit: true } as const;

/** Why a connection of a client is closed: a reason from a fixed set, for metrics and audit, and a sentence for the log. */
export interface CloseReason {
  readonly reason: string;
  readonly message: string;
}

/** Unique in this process. A number: the client is connected to this replica. A text: to the replica that it names. */
export type ClientId = number | string;

/** An admitted client, as the relay sees it. */
export interface ClientLink {
  readonly id: ClientId;
  readonly identity: Identity;
  /**
   * Queues the body of one frame for the client; after the end of the connection it does nothing. The bytes are valid only
   * during the call: what is not written at once is copied.
   */
  send(body: Buffer | string): void;
  /** The same with `count` frames that have their headers. */
  sendFrames(frames: Buffer, count: number): void;
  /** Bytes that the client has yet to read. */
  readonly queuedBytes: number;
  /** Stops reading from the client, so that it feels back-pressure. */
  pause(): void;
  resume(): void;
  /** Ends the connection; `closed` of its handler follows. */
  close(reason: CloseReason): void;
  /** A session has been told these calls, by any client. For a link that a peer holds. */
  readonly told?: ((rules: ToldRules) => void) | undefined;
  /** What servers ask it is numbered from here on, because it may still answer what it was asked at another home; default: 0. */
  readonly askedBefore?: number | undefined;
  /** Its holder is of an earlier version: nobody says what it was in the middle of, and it tells the rules of its sessions again by itself. */
  readonly saysNoBefore?: boolean | undefined;
}

/** Calls about a session that a server forgets with its process. */
export interface ToldRules {
  readonly sessionId: string;
  readonly calls: readonly { readonly method: string; readonly params: object; readonly result: unknown }[];
  /** Whether there were more than are kept. */
  readonly isIncomplete: boolean;
  /** How often they were changed, with these: who knows of more changes knows the last ones. Homes of earlier versions do not count them. */
  readonly changes?: number;
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
  /** The tenant is gone: whatever waits is answered soon, and the connection ends when nothing is under way any more. */
  dismissed?(): void;
  /** The connection has ended, once and last. */
  closed(reason: CloseReason): void;
}

/** What is under way of a client. */
export interface ClientWork {
  /** Calls that are not answered. */
  readonly calls: number;
  /** Of them, prompts that wait for the turn of another client, and go along when the home of the tenant moves. */
  readonly waiting?: number;
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
  /** The drains that are stated now. */
  drains(): DrainProgress[];
  /** The tenants that clients wait for, and those that are being put to sleep although they were used lately. */
  wakes(): WakeAsk[];
  /** For how long tenants were not used here. */
  uses(): TenantUses;
}

/** What is used at this replica. */
export interface TenantUses {
  /** For how long this replica knows it, in ms. */
  readonly upMs: number;
  /** Of tenants that were used here. */
  readonly idle: readonly (Omit<TenantCount, 'clients'> & { readonly idleMs: number })[];
  /** The turns of sessions that several users work on, by who holds them. */
  readonly heldTurns: readonly HeldTurn[];
  /** Where sessions of tenants are whose servers share a volume. */
  readonly places: readonly ServerPlaces[];
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
  readonly clients: readonly ClientId[];
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
  /** Whether it may be made again if its server was lost before it answered; default false. */
  readonly isRepeatable?: boolean | undefined;
  /** How the answers of several servers become one; undefined: one server answers it. */
  readonly merge?: MethodMerge | undefined;
}

/**
 * How the answers of all servers of a tenant become one. `Sessions`: the lists of sessions in one, the newest first. `Entries`: the same of
 * a list that is the whole answer. `Ids`: their ids in one list, those of the sessions that were used last first. `Last`: the session that
 * was used last, of those that they name. `Union`: the fields of all, and in each what any has.
 * `Freed`: the sessions that all say are gone.
 */
export type MethodMerge = 'Sessions' | 'Entries' | 'Freed' | 'Ids' | 'Last' | 'Union';

/**
 * `attach`: `session.create` and `session.resume`, which attach the client to a session. `detach`: `session.detach` and
 * `session.destroy`. `send`: what starts a turn, and waits for the turn of another client. `abort`: what ends a turn, or such a
 * wait. `delete`: what ends a session for all. `keep`: what a server forgets with its process, and is told again after a restart: `session.options.update`,
 * `session.eventLog.registerInterest` and the like. `own`: what lists sessions, answered with those of the user. `login`: what takes a
 * GitHub token, which the gateway states where it has one.
 */
export type MethodRewrite = 'attach' | 'detach' | 'send' | 'abort' | 'delete' | 'keep' | 'own' | 'login';

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
