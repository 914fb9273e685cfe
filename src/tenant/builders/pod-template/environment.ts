/** The environment variables of the server's container. */
import { childName, TOKEN_KEY } from '../../../resources/names.ts';
import type { Container } from '../../../resources/pod.ts';
import type { CopilotTenant } from '../../../resources/tenant.ts';
import { COPILOT_HOME, HOME } from './paths.ts';

type EnvVar = NonNullable<Container['env']>[number];

export function environment(tenant: CopilotTenant): EnvVar[] {
  return [
    { name: 'HOME', value: HOME },
    { name: 'COPILOT_HOME', value: COPILOT_HOME },
    { name: 'COPILOT_AUTO_UPDATE', value: 'false' },
    {
      name: 'COPILOT_CONNECTION_TOKEN',
      valueFrom: { secretKeyRef: { name: childName(tenant.metadata.name, 'token'), key: TOKEN_KEY } },
    },
    ...modelEnvironment(tenant),
  ];
}

// A headless server takes a provider from each session and ignores its environment, so a key here would only be exposed to
// the agent (docs/facts.md). The GitHub token only works in the environment.
function modelEnvironment({ spec: { model } }: CopilotTenant): EnvVar[] {
  if (!model?.github) return [];
  const { name, key } = model.github.tokenSecretRef;
  return [{ name: 'COPILOT_GITHUB_TOKEN', valueFrom: { secretKeyRef: { name, key } } }];
}
