/** The kinds of values in the resources, each with the rules that the API server enforces for it. */
import { z } from 'zod';
import { DURATION_PATTERN } from './duration.ts';

/** A rule in CEL that the API server checks on create and update; `self` is the value that carries it. */
export interface CelRule {
  rule: string;
  /** Shown to the user: the field, what it must be, and what to do. */
  message: string;
  /** Field below `self` that the error points at. */
  fieldPath?: string;
  /** The rule also runs where there is no old value; `oldSelf` is a CEL optional then. */
  optionalOldSelf?: true;
}

/**
 * Adds CEL rules. zod's own `refine` would not appear in the generated schema, so rules that span fields are written in CEL and tested
 * against an API server.
 */
export function withRules<T extends z.ZodType>(schema: T, ...rules: CelRule[]): T {
  return schema.meta({ 'x-kubernetes-validations': rules });
}

/**
 * An object that may be omitted, because all its fields have defaults. Its default is written in full: the API server checks it against
 * the object's CEL rules before it fills in the defaults of the fields.
 */
export function section<T extends z.ZodObject>(schema: T) {
  return schema.default(() => schema.parse({}) as z.core.util.NoUndefined<z.output<T>>);
}

/** A list that server-side apply merges item by item, keyed by `key`. */
export function listMap<T extends z.ZodType>(item: T, key: string, maxItems: number) {
  return z
    .array(item)
    .max(maxItems)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] });
}

/** A list that server-side apply replaces as a whole. */
export function atomicList<T extends z.ZodType>(item: T, maxItems: number) {
  return z.array(item).max(maxItems).meta({ 'x-kubernetes-list-type': 'atomic' });
}

/** A map with string keys. The bound keeps the cost of CEL rules, and the object, small. */
export function mapOf<T extends z.ZodType>(value: T, maxProperties: number) {
  return z.record(z.string(), value).meta({ maxProperties });
}

export interface Bounds {
  /** Path of the field, for messages. */
  field: string;
  min: string;
  max: string;
  /** A further accepted value, with what it means. */
  except?: { value: string; meaning: string };
}

/** CEL: whether `value` is a duration. Rules check it first, because CEL also runs on values that fail their pattern. */
export const isDuration = (value: string) => `${value}.matches('${DURATION_PATTERN}')`;

/** A length of time, inclusive bounds. */
export function duration({ field, min, max, except }: Bounds) {
  const inBounds = `${isDuration('self')} && duration(self) >= duration('${min}') && duration(self) <= duration('${max}')`;
  return withRules(z.string().max(21).regex(new RegExp(DURATION_PATTERN)), {
    rule: except ? `self == '${except.value}' || (${inBounds})` : inBounds,
    message: `${field} must be from ${min} to ${max}${except ? `, or ${except.value} ${except.meaning}` : ''}, written like 10s or 1h30m`,
  });
}

/** Kubernetes' own syntax of quantities, without a sign: nothing here can be negative. */
const QUANTITY_PATTERN = '^([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?[0-9]+))?$';

/** An amount of bytes such as `10Gi`, inclusive bounds. */
export function storageSize({ field, min, max }: Bounds) {
  return withRules(z.string().min(1).max(20).regex(new RegExp(QUANTITY_PATTERN)), {
    rule: `isQuantity(self) && quantity(self).compareTo(quantity('${min}')) >= 0 && quantity(self).compareTo(quantity('${max}')) <= 0`,
    message: `${field} must be from ${min} to ${max}, written like 10Gi`,
  });
}

/**
 * A quantity of a container resource. YAML authors write `cpu: 2` as well as `cpu: "2"` or `cpu: 500m`, as Kubernetes
 * itself allows.
 */
export const quantity = z
  .union([z.int(), z.string()])
  .meta({ 'x-kubernetes-int-or-string': true, pattern: QUANTITY_PATTERN });

const DNS_LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';

/** Name of most Kubernetes objects: a DNS subdomain. */
export const objectName = () =>
  z
    .string()
    .min(1)
    .max(253)
    .regex(new RegExp(`^${DNS_LABEL}(\\.${DNS_LABEL})*$`));

/** Points to one key of a Secret in the tenant's own namespace; a tenant can't name Secrets of others. */
export function secretKeyRef({ key, use }: { key: string; use: string }) {
  return z
    .object({
      name: objectName().describe('Name of the Secret, in the namespace of the tenant.'),
      key: z
        .string()
        .min(1)
        .max(253)
        .regex(/^[-._a-zA-Z0-9]+$/)
        .default(key)
        .describe('Key in the Secret.'),
    })
    .describe(use);
}
export type SecretKeyRef = z.output<ReturnType<typeof secretKeyRef>>;

/** metav1.Condition. */
export const condition = z.object({
  type: z.string().min(1).max(316).describe('Type of the condition.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether the condition holds.'),
  reason: z
    .string()
    .min(1)
    .max(1024)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
    .describe('Why, as one word for scripts and alerts. The API reference lists all of them.'),
  message: z.string().max(32768).describe('Why, and what to do about it, as text for people.'),
  observedGeneration: z
    .int()
    .min(0)
    .exactOptional()
    .describe('Value of metadata.generation that the condition was computed from.'),
  lastTransitionTime: z.iso.datetime().describe('When `status` of the condition last changed.'),
});
