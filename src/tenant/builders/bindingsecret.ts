/** The Secret that client applications bind to. */
import { FIELD_MANAGER, SERVER_PORT, type Injection } from '../../api/names.ts';
import { addressOf } from '../../copilot/index.ts';
import { Secret } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { INJECTION_KEY } from '../../resources/binding.ts';
import { childName, serverName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { HostAndPort } from '../model.ts';
import { sharedMetadata } from './metadata.ts';

/** What the Secret contains besides the spec. */
export interface BindingFacts {
  /** What clients present: the connection token of the servers or, to the gateway, the token with the binding credential. */
  readonly token: string;
  /** Where the gateway is; undefined: clients connect directly. */
  readonly gateway?: HostAndPort | undefined;
  /** How sessions get the login of the model; default: from the client, which finds it here. */
  readonly injection?: Injection | undefined;
  /** Value of `spec.model.provider.apiKeySecretRef`; undefined: clients must not have it, or there is none. */
  readonly providerApiKey?: string | undefined;
}

/** DNS name of a server, resolvable from any namespace. */
function serverHost(tenant: CopilotTenant, index: number): string {
  return `${serverName(tenant.metadata.name, index)}.${tenant.metadata.namespace}.svc`;
}

/** Where clients connect to, as `host:port`: the gateway or, without one, the first server. */
export function endpoint(tenant: CopilotTenant, gateway?: HostAndPort): string {
  return addressOf(address(tenant, gateway));
}

function address(tenant: CopilotTenant, gateway: HostAndPort | undefined): HostAndPort {
  return gateway ?? { host: serverHost(tenant, 0), port: SERVER_PORT };
}

/** The Secret in the form of the Service Binding specification. */
export function bindingSecret(tenant: CopilotTenant, facts: BindingFacts): Secret {
  const { host, port } = address(tenant, facts.gateway);
  const values: Record<string, string> = {
    type: 'copilot',
    provider: FIELD_MANAGER,
    host,
    port: String(port),
    // `http` is the only scheme that the Copilot SDK's RuntimeConnection.forUri accepts; the protocol is plain TCP.
    uri: `http://${endpoint(tenant, facts.gateway)}`,
    token: facts.token,
    ...(facts.injection === 'Gateway' && { [INJECTION_KEY]: facts.injection }),
    ...modelEntries(tenant, facts.providerApiKey),
  };
  return {
    apiVersion: apiVersionOf(Secret),
    kind: Secret.kind,
    metadata: sharedMetadata(tenant, childName(tenant.metadata.name, 'binding')),
    type: 'servicebinding.io/copilot',
    data: Object.fromEntries(
      Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
    ),
  };
}

// A headless server takes the provider from each session (docs/facts.md), so the client passes these to `createSession`.
// The key is not in the pod, where the agent could read it.
function modelEntries({ spec }: CopilotTenant, apiKey: string | undefined): Record<string, string> {
  const provider = spec.model?.provider;
  if (!provider) return {};
  return {
    model: provider.model,
    'model-provider-type': provider.type,
    'model-provider-wire-api': provider.wireApi,
    'model-provider-base-url': provider.baseUrl,
    ...(provider.headers && { 'model-provider-headers': JSON.stringify(provider.headers) }),
    ...(apiKey !== undefined && { 'model-provider-api-key': apiKey }),
  };
}
