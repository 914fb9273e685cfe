import { Secret } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { childName, TOKEN_KEY } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sharedMetadata } from './metadata.ts';

/**
 * The Secret with the connection token: whoever has it drives every session of the tenant. It is read by the pods and
 * the operator alone; clients get their copy in the binding Secret.
 */
export function tokenSecret(tenant: CopilotTenant, token: string): Secret {
  return {
    apiVersion: apiVersionOf(Secret),
    kind: Secret.kind,
    metadata: sharedMetadata(tenant, childName(tenant.metadata.name, 'token')),
    // Not immutable: a kubelet goes on giving pods the first value of such a Secret after it was deleted and made again.
    type: 'Opaque',
    data: { [TOKEN_KEY]: Buffer.from(token).toString('base64') },
  };
}
