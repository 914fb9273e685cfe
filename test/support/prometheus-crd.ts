// Stand-ins for the CRDs of the Prometheus operator, with as much of their schemas as the chart uses: a field that is not there is refused.

/** What an API server needs to know of a kind; `spec`: its schema. */
function prometheusCrd(kind: string, spec: object) {
  const plural = `${kind.toLowerCase()}s`;
  const openAPIV3Schema = { type: 'object', properties: { spec: { type: 'object', ...spec } } };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.monitoring.coreos.com` },
    spec: {
      group: 'monitoring.coreos.com',
      names: { plural, kind },
      scope: 'Namespaced',
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  };
}

const texts = { type: 'object', additionalProperties: { type: 'string' } };
const duration = { type: 'string', pattern: '^(0|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?)$' };
const listOf = (required: string[], properties: object) => ({
  type: 'array',
  items: { type: 'object', required, properties },
});

const alertGroups = listOf(['name'], {
  name: { type: 'string', minLength: 1 },
  rules: listOf(['expr'], {
    alert: { type: 'string' },
    expr: { type: 'string' },
    for: duration,
    labels: texts,
    annotations: texts,
  }),
});

export const PROMETHEUS_RULE = prometheusCrd('PrometheusRule', { properties: { groups: alertGroups } });

export const SERVICE_MONITOR = prometheusCrd('ServiceMonitor', {
  required: ['endpoints', 'selector'],
  properties: {
    selector: { type: 'object', properties: { matchLabels: texts } },
    endpoints: listOf([], { port: { type: 'string' }, interval: duration }),
  },
});
