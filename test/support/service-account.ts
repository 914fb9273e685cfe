// A ServiceAccount with rights of its own, as objects to create.

/** What a Role allows. */
export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

/** The ServiceAccount, and with rules a Role of its name that it is bound to. */
export function serviceAccount(
  metadata: { readonly name: string; readonly namespace: string },
  rules: readonly Rule[] = [],
): object[] {
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata };
  if (rules.length === 0) return [account];
  const group = 'rbac.authorization.k8s.io';
  return [
    account,
    { apiVersion: `${group}/v1`, kind: 'Role', metadata, rules },
    {
      apiVersion: `${group}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: group, kind: 'Role', name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', ...metadata }],
    },
  ];
}
