/** Decides the condition ModelConfigured: whether the model credential of a tenant can be used. */
import { ModelConfiguredReason } from '../../api/conditions.ts';
import type { SecretKeyRef } from '../../api/tenant.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { credentialOf } from '../../resources/credential.ts';
import type { RequiredLabel, SecretRead } from '../model.ts';
import type { InjectionDecision } from './injection.ts';
import { missingLabel } from './required-label.ts';

/** The outcome for the condition ModelConfigured. `value` is secret: pods, the binding Secret or sessions get it. */
export type ModelDecision =
  | { readonly ok: true; readonly reason: ModelConfiguredReason; readonly message: string; readonly value?: string }
  | { readonly ok: false; readonly reason: ModelConfiguredReason; readonly message: string };

/** Where the model credential is; undefined if the tenant refers to none. */
export function modelSecretRef({ spec: { model } }: CopilotTenant): SecretKeyRef | undefined {
  return model?.github?.tokenSecretRef ?? model?.provider?.apiKeySecretRef;
}

/** What the gateway may read for sessions. Not while it must not be used: the operator alone knows which label a Secret needs. */
export function injectedSecretRef(
  tenant: CopilotTenant,
  { injection }: Pick<InjectionDecision, 'injection'>,
  { ok }: Pick<ModelDecision, 'ok'>,
): SecretKeyRef | undefined {
  return injection === 'Gateway' && ok ? modelSecretRef(tenant) : undefined;
}

/** Whether the model credential can be used. No message contains any part of a value. */
export function modelDecision(
  tenant: CopilotTenant,
  secret: SecretRead | undefined,
  requiredLabel?: RequiredLabel,
  { injection, problem }: Pick<InjectionDecision, 'injection' | 'problem'> = { injection: 'ServerEnv' },
): ModelDecision {
  const ref = modelSecretRef(tenant);
  const { model } = tenant.spec;
  if (problem !== undefined) return unusable(ModelConfiguredReason.GatewayRequired, problem);
  if (ref === undefined || secret === undefined) {
    return model?.provider
      ? { ok: true, reason: ModelConfiguredReason.Provider, message: 'The provider requires no API key.' }
      : { ok: true, reason: ModelConfiguredReason.ClientProvided, message: 'Clients provide their own credentials.' };
  }
  const where = `Secret ${ref.name}`;
  if (secret === 'NotFound') {
    return unusable(ModelConfiguredReason.SecretNotFound, `${where} not found. Create it with key ${ref.key}.`);
  }
  if (secret === 'Forbidden') {
    return unusable(
      ModelConfiguredReason.SecretForbidden,
      `The operator is not allowed to read ${where}: it lacks the verb get on secrets. Compare its RBAC rules with those of the chart.`,
    );
  }
  const notAllowed = missingLabel(secret, requiredLabel);
  if (notAllowed !== undefined) return unusable(ModelConfiguredReason.SecretNotAllowed, notAllowed);
  const read = credentialOf(secret, ref.key);
  if ('problem' in read) {
    const [problemReason, message] = PROBLEMS[read.problem];
    return unusable(problemReason, message(ref.key, where));
  }
  const { value } = read;
  const isInjected = injection === 'Gateway';
  return model?.github
    ? {
        ok: true,
        reason: ModelConfiguredReason.GitHub,
        message: isInjected
          ? `Sessions get the token in ${where} from the gateway.`
          : `Servers use the token in ${where}.`,
        value,
      }
    : {
        ok: true,
        reason: ModelConfiguredReason.Provider,
        message: isInjected
          ? `Sessions get the API key of ${where} from the gateway.`
          : `Clients get the API key of ${where} from the binding Secret.`,
        value,
      };
}

type Problem = Extract<ReturnType<typeof credentialOf>, { readonly problem: string }>['problem'];

const PROBLEMS: Readonly<Record<Problem, readonly [ModelConfiguredReason, (key: string, where: string) => string]>> = {
  KeyNotFound: [
    ModelConfiguredReason.SecretKeyNotFound,
    (key, where) => `${where} has no key ${key}. Add it, or correct the key in spec.model.`,
  ],
  ValueEmpty: [
    ModelConfiguredReason.SecretValueEmpty,
    (key, where) => `Key ${key} of ${where} is empty. Set it to the credential.`,
  ],
  ValueInvalid: [
    ModelConfiguredReason.SecretValueInvalid,
    (key, where) =>
      `Key ${key} of ${where} contains a line break or another character that is not allowed in a credential. ` +
      `A trailing newline is the usual cause: create the value with printf instead of echo.`,
  ],
};

function unusable(reason: ModelConfiguredReason, message: string): ModelDecision {
  return { ok: false, reason, message };
}
