/** Decides the condition ModelConfigured: whether the model credential of a tenant can be used. */
import { ModelConfiguredReason } from '../../api/conditions.ts';
import type { SecretKeyRef } from '../../api/tenant.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { RequiredLabel, SecretRead } from '../model.ts';
import { missingLabel } from './required-label.ts';

/** The outcome for the condition ModelConfigured. `value` is secret: only pods and the binding Secret get it. */
export type ModelDecision =
  | { readonly ok: true; readonly reason: ModelConfiguredReason; readonly message: string; readonly value?: string }
  | { readonly ok: false; readonly reason: ModelConfiguredReason; readonly message: string };

/** Where the model credential is; undefined if the tenant refers to none. */
export function modelSecretRef({ spec: { model } }: CopilotTenant): SecretKeyRef | undefined {
  return model?.github?.tokenSecretRef ?? model?.provider?.apiKeySecretRef;
}

/** Whether the model credential can be used. No message contains any part of a value. */
export function modelDecision(
  tenant: CopilotTenant,
  secret: SecretRead | undefined,
  requiredLabel?: RequiredLabel,
): ModelDecision {
  const ref = modelSecretRef(tenant);
  const { model } = tenant.spec;
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
  const data = secret.data?.[ref.key];
  if (data === undefined) {
    return unusable(
      ModelConfiguredReason.SecretKeyNotFound,
      `${where} has no key ${ref.key}. Add it, or correct the key in spec.model.`,
    );
  }
  if (data === '')
    return unusable(
      ModelConfiguredReason.SecretValueEmpty,
      `Key ${ref.key} of ${where} is empty. Set it to the credential.`,
    );
  const value = Buffer.from(data, 'base64').toString('latin1');
  if (!/^[\x20-\x7e]+$/.test(value)) {
    return unusable(
      ModelConfiguredReason.SecretValueInvalid,
      `Key ${ref.key} of ${where} contains a line break or another character that is not allowed in a credential. ` +
        `A trailing newline is the usual cause: create the value with printf instead of echo.`,
    );
  }
  return model?.github
    ? { ok: true, reason: ModelConfiguredReason.GitHub, message: `Servers use the token in ${where}.`, value }
    : {
        ok: true,
        reason: ModelConfiguredReason.Provider,
        message: `Clients get the API key of ${where} from the binding Secret.`,
        value,
      };
}

function unusable(reason: ModelConfiguredReason, message: string): ModelDecision {
  return { ok: false, reason, message };
}
