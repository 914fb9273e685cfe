/**
 * Decides whether the pods of a tenant can be created with the Secrets and ConfigMaps that its users name: those of `spec.server.env`
 * and `spec.network.caBundle`.
 */
import { X509Certificate } from 'node:crypto';
import { StalledReason } from '../../api/conditions.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { PodInputRead, RequiredLabel, TenantCause } from '../model.ts';
import { missingLabel } from './required-label.ts';

/** A key of a Secret or ConfigMap that the pods read. */
export interface PodInputRef {
  readonly kind: 'Secret' | 'ConfigMap';
  readonly name: string;
  readonly key: string;
  /** What reads it, for messages. */
  readonly field: string;
  readonly reason: StalledReason;
}

/** `digestible` is secret: it only enters the hash that replaces the pods when a value changes. */
export type PodInputsDecision =
  { readonly ok: true; readonly digestible: string } | { readonly ok: false; readonly cause: TenantCause };

/** What the pods read, in the order of the spec. */
export function podInputRefs({ spec: { server, network } }: CopilotTenant): PodInputRef[] {
  const ca = network.caBundle?.configMapKeyRef;
  const reason = StalledReason.EnvironmentNotUsable;
  return [
    ...(server.env ?? []).flatMap(({ name: variable, valueFrom }): PodInputRef[] => {
      const field = `variable ${variable} of spec.server.env`;
      const { secretKeyRef: secret, configMapKeyRef: configMap } = valueFrom ?? {};
      if (secret) return [{ kind: 'Secret', ...secret, field, reason }];
      return configMap ? [{ kind: 'ConfigMap', ...configMap, field, reason }] : [];
    }),
    ...(ca
      ? [
          {
            kind: 'ConfigMap' as const,
            ...ca,
            field: 'spec.network.caBundle',
            reason: StalledReason.CABundleNotUsable,
          },
        ]
      : []),
  ];
}

/** Key of an input in the world. */
export function podInputKey({ kind, name }: Pick<PodInputRef, 'kind' | 'name'>): string {
  return `${kind}/${name}`;
}

/** Whether all of it can be used. No message contains any part of a value. */
export function podInputs(
  tenant: CopilotTenant,
  read: ReadonlyMap<string, PodInputRead> | undefined,
  requiredLabel?: RequiredLabel,
): PodInputsDecision {
  const values: (readonly [string, string, string])[] = [];
  for (const ref of podInputRefs(tenant)) {
    const found = valueOf(ref, read?.get(podInputKey(ref)) ?? 'NotFound', requiredLabel);
    if ('problem' in found) {
      const message = `${found.problem} It is needed for ${ref.field}; running servers keep what they started with.`;
      return { ok: false, cause: { reason: ref.reason, message } };
    }
    values.push([podInputKey(ref), ref.key, found.value]);
  }
  return { ok: true, digestible: values.length === 0 ? '' : JSON.stringify(values) };
}

/** Values of Secrets in the pods, as text: the output of a crashed server may contain them, and the status must not. */
export function podSecrets(tenant: CopilotTenant, read: ReadonlyMap<string, PodInputRead> | undefined): string[] {
  return podInputRefs(tenant).flatMap((ref) => {
    const object = ref.kind === 'Secret' ? read?.get(podInputKey(ref)) : undefined;
    const value = typeof object === 'object' ? object.data?.[ref.key] : undefined;
    return value === undefined ? [] : [Buffer.from(value, 'base64').toString().trim()];
  });
}

type Found = { readonly value: string } | { readonly problem: string };

function valueOf(ref: PodInputRef, object: PodInputRead, requiredLabel: RequiredLabel | undefined): Found {
  const where = `${ref.kind} ${ref.name}`;
  if (object === 'NotFound') return { problem: `${where} not found. Create it with key ${ref.key}.` };
  if (object === 'Forbidden') {
    const resource = ref.kind === 'Secret' ? 'secrets' : 'configmaps';
    return {
      problem: `The operator is not allowed to read ${where}: it lacks the verb get on ${resource}. Compare its RBAC rules with those of the chart.`,
    };
  }
  const notAllowed = ref.kind === 'Secret' ? missingLabel(object, requiredLabel) : undefined;
  if (notAllowed !== undefined) return { problem: notAllowed };
  const value = object.data?.[ref.key];
  if (value === undefined) return { problem: `${where} has no key ${ref.key}. Add it, or correct the key.` };
  const problem = ref.reason === StalledReason.CABundleNotUsable ? certificateProblem(value) : undefined;
  return problem === undefined ? { value } : { problem: `Key ${ref.key} of ${where} ${problem}` };
}

// The server ignores a file that it can't read: it would start, and trust nothing of it.
function certificateProblem(pem: string): string | undefined {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
  if (blocks.length === 0) return 'contains no certificate in PEM. Set it to the certificates of the authorities.';
  const invalid = blocks.findIndex((block) => !isCertificate(block));
  return invalid < 0
    ? undefined
    : `is damaged: certificate ${invalid + 1} of ${blocks.length} can't be read. Correct it.`;
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    return false;
  }
}
