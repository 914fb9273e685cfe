/** The life of a client's connection. */

/**
 * `Greeting`: it has not been admitted, and is answered as by a server that it has no token for. `Admitting`: its token is looked
 * at, and what it sends meanwhile waits. `Relaying`: it is admitted. `Draining`: as before, and it is closed as soon as nothing of it is
 * under way. `Closed`: for ever.
 */
export const CLIENT_STATES = ['Greeting', 'Admitting', 'Relaying', 'Draining', 'Closed'] as const;
export type ClientState = (typeof CLIENT_STATES)[number];

/** What happens to a connection. */
export type ClientEvent = 'presented' | 'admitted' | 'denied' | 'drain' | 'end';

const TRANSITIONS: Readonly<Record<ClientState, Readonly<Partial<Record<ClientEvent, ClientState>>>>> = {
  // Who is not admitted has nothing that could be drained.
  Greeting: { presented: 'Admitting', drain: 'Closed', end: 'Closed' },
  Admitting: { admitted: 'Relaying', denied: 'Greeting', drain: 'Closed', end: 'Closed' },
  Relaying: { drain: 'Draining', end: 'Closed' },
  Draining: { drain: 'Draining', end: 'Closed' },
  // What was under way when it ended is of no effect.
  Closed: { admitted: 'Closed', denied: 'Closed', drain: 'Closed', end: 'Closed' },
};

/** The state after an event. @throws Error for one that cannot happen in this state */
export function nextState(state: ClientState, event: ClientEvent): ClientState {
  const next = TRANSITIONS[state][event];
  if (next === undefined) throw new Error(`a connection in state ${state} cannot be ${event}`);
  return next;
}

/** Whether frames of the client go to the relay. */
export function isAdmitted(state: ClientState): boolean {
  return state === 'Relaying' || state === 'Draining';
}
