/** Why a question of a server is offered to its clients, or to nobody: one sentence for each reason, for docs/questions.md. */

/** The sentence of each reason. */
export const QUESTION_REASONS = {
  Person: 'a person decides it, at whichever client that person sits',
  Work: 'it has an effect where it is done, so exactly one of those that declared it does it',
  Hook: 'it may forbid a tool, so each that declared hooks is heard, and silence forbids',
  Rewrite: 'it changes what the model reads, so one client answers for all',
  Token: 'it asks for a credential that one client has',
  Login: 'a person logs in at a browser; until then the MCP server is not connected, and the session works without it',
  Sample: 'an MCP server asks for a model of the client, which no SDK has by itself: an application says that it does',
  Shown: 'it is shown and done in the window of one client',
  Notice: 'it asks nothing',
  ConnectionProvider:
    'the server asks the one provider of its whole connection, and nobody can be that: all clients share a connection',
  Extension: 'it is for an extension, which the server itself has started',
  HostProgram: 'it is for the program that has the runtime in its own process',
  Installs: 'it confirms an installation, which clients may not begin',
  NotAsked: 'the gateway does not ask for it when it connects',
} as const;

/** Why it is so. */
export type QuestionReason = keyof typeof QUESTION_REASONS;
