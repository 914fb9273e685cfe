/** The Secret with the connection token. */
import { Secret } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { childName, TOKEN_KEY } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sharedMetadata } from './metadata.ts';

/**
 * The token gives access to every session of the tenant. Only the pods and the operator read this Secret; clients use the copy in
 * the binding Secret.
 */
export function tokenSecret(tenant: CopilotTenant, token: string): Secret {
  return {
    apiVersion: apiVersionOf(Secret),
    kind: Secret.kind,
    metadata: sharedMetadata(tenant, childName(tenant.metadata.name, 'token')),
    // Not immutable: after such a Secret is recreated, a kubelet keeps giving pods its first value.
    type: 'Opaque',
    data: { [TOKEN_KEY]: Buffer.from(token).toString('base64') },
  };
}
