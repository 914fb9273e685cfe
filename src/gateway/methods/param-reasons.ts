/** Why a parameter is allowed or refused: one sentence for each rule, for docs/methods.md and the answers to clients. */

/** The sentence of each rule. */
export const PARAM_REASONS = {
  Session: 'it says how this session works, and concerns no other one',
  Declared: 'it declares what the client brings to the session, which the gateway merges for all of its clients',
  Prompt: 'it is part of what the user says',
  OwnLogin:
    "it is the client's own login or provider, for this session alone, in whose place the gateway puts that of the tenant if there is one",
  TenantLogin: 'the tenant has a login or provider of its own, which its sessions use in place of any other',
  AgentRights: 'it gives the session programs, files or addresses of the server, as its agent has them',
  AgentTools: 'it decides on what the agent can do, and so on whether users can be kept apart: the tenant decides it',
  CrossSession: 'it lets sessions read what was said in others, or keeps it after its session was deleted',
  ProviderHeaders: "it replaces headers that the tenant's provider is called with",
  RemoteControl: 'it runs or shows a session on GitHub, with the login of the server',
  SessionPlace:
    'the session would be outside of the volume of its server, where it is neither listed, counted nor cleaned up',
  KeyDestination: 'it would send the login of the server to an address of the caller',
  Credentials: "it asks for the server's environment, in which there are its keys",
  Settings: 'it changes settings of the server that outlive the session: the tenant decides them',
  HostProgram: 'it is for the program that has the runtime in its own process, not for clients',
  Unknown: 'the parameter is in no table, so nobody has decided whether it is safe',
} as const;

/** Why a parameter is treated as it is: the name of the rule, in `data.rule` of a refusal. */
export type ParamReason = keyof typeof PARAM_REASONS;
