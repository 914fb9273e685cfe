/**
 * Where pods may run, in the shape of core/v1, so that a part of a Deployment can be pasted. Every field is written out instead of
 * `x-kubernetes-preserve-unknown-fields`, so that a typing error is rejected at admission.
 */
import { z } from 'zod';
import { atomicList, listMap, mapOf, objectName } from './fields.ts';

const labelKey = () => z.string().min(1).max(317);
const labelValue = () => z.string().max(63);
const weight = () => z.int().min(1).max(100).describe('Weight of this preference against the others, from 1 to 100.');

const labelRequirement = z.object({
  key: labelKey().describe('Key of the label that the selector is about.'),
  operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']).describe('How the label is compared with `values`.'),
  values: atomicList(labelValue(), 64)
    .exactOptional()
    .describe('Values for In and NotIn. Must be empty for Exists and DoesNotExist.'),
});

/** Kubernetes' label selector: all parts must match, an empty one matches everything. */
export const labelSelector = z.object({
  matchLabels: mapOf(labelValue(), 32).exactOptional().describe('Labels that must be present with these values.'),
  matchExpressions: atomicList(labelRequirement, 16)
    .exactOptional()
    .describe('Requirements on labels. All of them must be met.'),
});

const nodeRequirement = z.object({
  key: labelKey().describe('Key of a label (or field) of the node.'),
  operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt']).describe('How it is compared with `values`.'),
  values: atomicList(labelValue(), 64)
    .exactOptional()
    .describe('Values for In and NotIn; one integer for Gt and Lt; empty for Exists and DoesNotExist.'),
});

const nodeSelectorTerm = z.object({
  matchExpressions: atomicList(nodeRequirement, 16).exactOptional().describe("Requirements on the node's labels."),
  matchFields: atomicList(nodeRequirement, 16)
    .exactOptional()
    .describe("Requirements on the node's fields, such as metadata.name."),
});

const podAffinityTerm = z.object({
  labelSelector: labelSelector.exactOptional().describe('The pods to run near to, or away from.'),
  topologyKey: labelKey().describe('Node label that defines "near", such as kubernetes.io/hostname.'),
  namespaces: atomicList(objectName(), 32)
    .exactOptional()
    .describe('Namespaces of those pods. Default, without `namespaceSelector`: the namespace of the tenant.'),
  namespaceSelector: labelSelector.exactOptional().describe('Namespaces of those pods, by label.'),
  matchLabelKeys: atomicList(labelKey(), 16)
    .exactOptional()
    .describe('Label keys whose values are taken from the pod itself and added to `labelSelector` with In.'),
  mismatchLabelKeys: atomicList(labelKey(), 16)
    .exactOptional()
    .describe('Label keys whose values are taken from the pod itself and added to `labelSelector` with NotIn.'),
});

const podTerms = (what: string) =>
  z.object({
    requiredDuringSchedulingIgnoredDuringExecution: atomicList(podAffinityTerm, 16)
      .exactOptional()
      .describe(`Terms that must match for the pod to be scheduled ${what}.`),
    preferredDuringSchedulingIgnoredDuringExecution: atomicList(
      z.object({
        weight: weight(),
        podAffinityTerm: podAffinityTerm.describe('The preferred term.'),
      }),
      16,
    )
      .exactOptional()
      .describe(`Terms that the scheduler prefers when it places the pod ${what}.`),
  });

/** core/v1 Affinity. */
export const affinity = z.object({
  nodeAffinity: z
    .object({
      requiredDuringSchedulingIgnoredDuringExecution: z
        .object({
          nodeSelectorTerms: atomicList(nodeSelectorTerm, 16).describe('Terms of which at least one must match.'),
        })
        .exactOptional()
        .describe('Requirements on the node.'),
      preferredDuringSchedulingIgnoredDuringExecution: atomicList(
        z.object({ weight: weight(), preference: nodeSelectorTerm.describe('The preferred term.') }),
        16,
      )
        .exactOptional()
        .describe('Preferences of the scheduler among nodes.'),
    })
    .exactOptional()
    .describe('Nodes to run on.'),
  podAffinity: podTerms('near other pods').exactOptional().describe('Pods to run near to.'),
  podAntiAffinity: podTerms('away from other pods').exactOptional().describe('Pods to stay away from.'),
});

/** core/v1 Toleration. */
export const toleration = z.object({
  key: labelKey()
    .exactOptional()
    .describe('Key of the tolerated taint. Default: every taint, and then `operator` must be Exists.'),
  operator: z
    .enum(['Exists', 'Equal'])
    .exactOptional()
    .describe('Exists tolerates every value of the taint; Equal (the default) only `value`.'),
  value: labelValue().exactOptional().describe('Value of the taint, for Equal.'),
  effect: z
    .enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
    .exactOptional()
    .describe('Effect of the taint. Default: all effects.'),
  tolerationSeconds: z
    .int()
    .min(-9007199254740991)
    .max(9007199254740991)
    .exactOptional()
    .describe('With NoExecute: seconds that the pod stays on a node after the taint appears. Default: forever.'),
});

/** Secret with registry credentials, in the tenant's namespace. */
export const imagePullSecrets = listMap(
  z.object({ name: objectName().describe('Name of a Secret of type kubernetes.io/dockerconfigjson.') }),
  'name',
  16,
);
