/** `spec.model` of CopilotTenant: which model answers prompts, and how sessions get the login for it. */
import { z } from 'zod';
import { mapOf, secretKeyRef, withRules } from './fields.ts';
import { INJECTIONS } from './names.ts';

const provider = z.object({
  type: z
    .enum(['openai', 'azure', 'anthropic'])
    .default('openai')
    .describe('API that the provider speaks. openai: any OpenAI-compatible one.'),
  wireApi: z
    .enum(['completions', 'responses'])
    .default('completions')
    .describe("OpenAI's older or newer API; for types openai and azure."),
  baseUrl: z
    .string()
    .max(1024)
    .regex(/^https?:\/\/[^\s]+$/)
    .describe('Address of the API, such as https://models.example.com/v1.'),
  model: z.string().min(1).max(256).regex(/^\S+$/).describe('Name of the model at the provider.'),
  apiKeySecretRef: secretKeyRef({
    key: 'api-key',
    use: "Secret key with the provider's API key. With injection Gateway the gateway reads it for each session; with ServerEnv it is copied to the binding Secret. It is never in the environment of the servers, where the agent could read it. Omit it for a provider without keys.",
  }).exactOptional(),
  headers: withRules(
    mapOf(
      z
        .string()
        .max(1024)
        .regex(/^[^\r\n]*$/),
      16,
    ),
    {
      rule: "self.all(name, name.matches('^[A-Za-z0-9-]{1,64}$'))",
      message: 'spec.model.provider.headers: a header name must consist of at most 64 letters, digits and hyphens',
    },
  )
    .exactOptional()
    .describe('HTTP headers to send with each request to the provider. Not for secrets: they are readable here.'),
});

/** `spec.model` of CopilotTenant. */
export const model = withRules(
  z.object({
    github: z
      .object({
        tokenSecretRef: secretKeyRef({
          key: 'token',
          use: 'Secret key with the GitHub token: use one of this tenant only. With injection Gateway the gateway gives it to each session. With ServerEnv it is in the environment of the server, where the agent can read it, and a change replaces the servers.',
        }),
      })
      .exactOptional()
      .describe('GitHub Copilot, on the subscription of the token owner.'),
    provider: provider
      .exactOptional()
      .describe(
        "The tenant's own model provider, without GitHub. With injection Gateway clients need not know it. With ServerEnv they read it from the binding Secret and pass it when they create a session: a Copilot CLI server has no default provider for the sessions of SDK clients.",
      ),
    injection: z
      .enum(INJECTIONS)
      .exactOptional()
      .describe(
        'How sessions get the login. Gateway: the gateway puts provider or token into each session, in place of what its client says; neither the pods nor the binding Secret have it, and a rotated one reaches sessions within a minute. It requires access Gateway. ServerEnv: the token of github is in the environment of the servers, and clients pass on the provider that the binding Secret has. Default: Gateway for a tenant that is created with access Gateway, else ServerEnv; it is decided once, and `status.modelInjection` has it.',
      ),
  }),
  {
    rule: '!(has(self.github) && has(self.provider))',
    message: 'spec.model must have github or provider, not both: remove one',
  },
);
