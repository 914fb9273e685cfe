/** What each method that a server may lack is for: the message about a server that answers but can't do everything. */

/** What is not known, or not possible, without a method. The other methods serve single operations, which report their own failure. */
const CONSEQUENCES: Readonly<Record<string, string>> = {
  'status.get': 'its version is unknown',
  'sessions.list': "its sessions can't be listed",
  'sessions.getSizes': 'the sizes of its sessions are unknown',
  'sessions.readPersistedEvents': 'the turns and usage of its sessions are unknown',
  'sessions.getClientMetadata': 'the owners of its sessions are unknown',
  'session.metadata.updateClientMetadata': "the owners of its sessions can't be stored",
  'session.delete': "its sessions can't be deleted",
  'sessions.bulkDelete': 'whether it can write to its volume is unknown',
};

/** A sentence about the methods that the version of a server lacks. */
export function limitationsMessage(server: string, lacks: readonly string[]): string {
  const methods = lacks.map((method) => {
    const consequence = CONSEQUENCES[method];
    return consequence === undefined ? method : `${method} (${consequence})`;
  });
  return `The version of server ${server} lacks ${methods.join(', ')}.`;
}
