/** The Service of a server. */
import { SERVER_PORT } from '../../api/names.ts';
import { Service } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { serverName, serverPods } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { serverMetadata } from './metadata.ts';

/** The stable address of server `index`. */
export function service(tenant: CopilotTenant, index: number): Service {
  const { name } = tenant.metadata;
  return {
    apiVersion: apiVersionOf(Service),
    kind: Service.kind,
    metadata: serverMetadata(tenant, index, serverName(name, index)),
    spec: {
      type: 'ClusterIP',
      selector: serverPods(name, index),
      ports: [{ name: 'copilot', port: SERVER_PORT, targetPort: 'copilot', protocol: 'TCP' }],
    },
  };
}
