/** Finds out whether the connection token of a Secret without an owner is that of the tenant's servers. */
import type { Secret } from '../kube/types/builtins.ts';
import { tokenIn } from '../resources/connection-token.ts';
import { tokenSecret } from './builders/tokensecret.ts';
import { isOwnOrOrphan, mayAdopt, tokenAdoption, type TokenAdoption } from './decisions/adoption.ts';
import { TemplateAnnotation } from './deployments.ts';
import type { ServerWorld, World } from './model.ts';

type PodTemplate = { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } } | undefined;

/**
 * Undefined if the Secret can't be a child of the tenant. `hashOf`: the hash of the credentials that servers would get with a token;
 * undefined if the model's credential cannot be used.
 */
export function orphanedToken(
  { tenant, servers }: World,
  secret: Secret,
  hashOf: (token: string) => string | undefined,
): TokenAdoption | undefined {
  if (!mayAdopt(secret, tokenSecret(tenant, ''), tenant)) return undefined;
  const startedWith = ({ deployment, replicaSets = [] }: ServerWorld): (string | undefined)[] => {
    const own = deployment !== undefined && isOwnOrOrphan(deployment, tenant) ? [deployment.spec?.template] : [];
    const templates: PodTemplate[] = [...own, ...replicaSets.map(({ spec }) => spec?.template)];
    return templates.map((template) => template?.metadata?.annotations?.[TemplateAnnotation.credentials]);
  };
  // A value that is no token verifies nothing, as no server can have been started with it.
  const hash = hashOf(tokenIn(secret) ?? '');
  return tokenAdoption(secret.metadata.name, { hash, started: [...servers.values()].flatMap(startedWith) });
}
