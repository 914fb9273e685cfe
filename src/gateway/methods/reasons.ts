/** Why a method is relayed, changed, answered or denied: one sentence for each reason, for docs/methods.md and the audit log. */

/** The sentence of each reason. */
export const METHOD_REASONS = {
  Handshake: 'the gateway admits the client itself, and makes its own handshake with the server',
  Liveness: 'it asks whether the other side answers, and must neither wake a server nor keep one awake',
  Attachment:
    'it declares what the client brings to a session, which the gateway merges for all clients of the session',
  Detachment: 'the session is detached only when the last of its clients has left it',
  Turn: 'it starts a turn, which waits for the turn of another client',
  Abort: 'it ends the turn that runs; of a client that waits for the turn of another user, only the wait',
  Deletion: 'the session ends for all of its clients',
  Replayed: 'a server forgets it with its process, so it is told again to the next one',
  InPlaceOf: 'a server has it on its disk; what it takes the place of is not told again to the next one',
  SessionLogin:
    'it gives one session another login, also after a restart; where users are kept apart, a session has the login of its tenant, or the one with which clients attached to it',
  GitHubReads: 'it asks GitHub, by the token of the tenant where the gateway has it, else by that of the server',
  OneSession: 'it concerns the one session that it names',
  Answers: 'it answers what the server has asked the clients of a session, or lists what is unanswered',
  AgentRights: 'it gives its caller what the agent of the session may do, so it is denied where the agent may do less',
  WorkspaceFiles: 'it reads and writes files of one session, which are denied where the agent has no files',
  Ownership: 'it writes what says whose the session is',
  ManySessions: 'it concerns sessions of everybody who uses the server',
  RemoteControl: 'it shows a session on GitHub, with the login of the server',
  ServerReads: 'it reads what concerns the whole server and changes nothing',
  ServerPaths: 'it reads any path of the server',
  Redaction: 'it hides values in logs, and shows none',
  WedgesServer: 'it stops the server, or a session, for everybody and for ever',
  ConnectionProvider:
    'it makes its connection the one provider of the whole server, which cannot be undone, and all clients share a connection',
  SharedConnection:
    'it registers or replaces something for its whole connection, and the clients of a session share a connection',
  SpawnsServer: 'it starts another server beside the one that the operator looks after',
  Installs:
    'it installs, removes or enables code for every session: the image of the server and its template decide that',
  Settings: 'it changes settings of the server that outlive the session: the tenant decides them',
  Credentials: 'it shows or changes a login or a key of the server',
  ProviderPolicy: 'it replaces model providers by name, and with them the provider of the tenant',
  OutboundRequests: 'the server sends a request to an address of the caller, outside of any session',
  HostProgram: 'it is for the program that has the runtime in its own process, not for clients',
  PrunesRunning: 'it deletes sessions that run: the TTL of the tenant deletes unused ones',
  WholeTurn: 'a request that is open for a whole turn cannot survive its server; SDKs send session.send instead',
  Unknown: 'the method is in no table, so nobody has decided whether it is safe',
} as const;

/** Why a method is treated as it is. */
export type MethodReason = keyof typeof METHOD_REASONS;
