/** Decides from the kubelet's message about an evicted pod which field of the tenant prevents the next eviction. */

// The former template had a volume of its own for the CLI's directory; setting the size replaces the server, with the present template.
const SIZES: Readonly<Record<string, string>> = {
  home: 'spec.server.home.size',
  'copilot-home': 'spec.server.home.size',
  workspace: 'spec.server.workspace.size',
  tmp: 'spec.server.tmp.size',
};

const LIMIT = 'spec.server.resources.limits.ephemeral-storage';

/** Undefined for a message that none of the fields is about. */
export function evictionRemedy(message = ''): string | undefined {
  const volume = /EmptyDir volume "([^"]+)" exceeds the limit/.exec(message)?.[1];
  const field = volume === undefined ? undefined : SIZES[volume];
  if (field !== undefined) return `Raise ${field}.`;
  if (/ephemeral (local )?storage/i.test(message) && message.includes('limit')) {
    return `Raise ${LIMIT}.`;
  }
  const resource = /The node was low on resource: ([a-z-]+)/.exec(message)?.[1];
  if (resource === undefined) return undefined;
  return resource === 'memory' || resource === 'ephemeral-storage'
    ? `Set spec.server.resources.requests.${resource} to what the server needs, so that it gets a node with enough of it.`
    : undefined;
}
