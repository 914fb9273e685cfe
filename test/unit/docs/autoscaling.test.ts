// The autoscalers of docs/gateway.md find the metrics that the gateway has, by rules that the Prometheus adapter takes.
import { describe, expect, it } from '@jest/globals';
import { registeredByGateway, type Registered } from '../../../scripts/metrics.ts';
import { CLIENT_STATES } from '../../../src/gateway/client/state.ts';
import { yamlUnder } from '../../support/docs-examples.ts';
import { readRule, type ExternalRule } from '../../support/metrics-adapter.ts';
import { selectorsOf } from '../../support/promql.ts';

/** A metric as an autoscaler names it. */
interface Wanted {
  readonly metric: { readonly name: string; readonly selector: { readonly matchLabels: Record<string, string> } };
}
type Rule = Pick<ExternalRule, 'seriesQuery' | 'metricsQuery'>;

const METRICS = registeredByGateway().getMetricsAsArray() as Registered[];
const labelsOf = (metric: string) => METRICS.find(({ name }) => name === metric)?.labelNames ?? [];

/** What is read when the adapter has put the labels in that the autoscaler asks by, and those that the adapter adds itself. */
function read({ metricsQuery }: Rule, { metric: { name, selector } }: Wanted, added: Record<string, string>) {
  const labels = Object.entries({ ...selector.matchLabels, ...added }).map(([label, value]) => `${label}="${value}"`);
  const parts = { '<<.Series>>': name, '<<.LabelMatchers>>': labels.join(','), '<<.GroupBy>>': 'pod' };
  const query = Object.entries(parts).reduce((text, [part, value]) => text.replace(part, value), metricsQuery);
  return selectorsOf(query).map(({ metric, matchers, keeps }) => ({
    metric,
    labels: [...matchers.map(({ label }) => label), ...keeps],
  }));
}

describe('the autoscaler of a tenant', () => {
  const [{ externalRules }, { spec }] = yamlUnder('gateway.md', '### Scaling a tenant by its load') as [
    { externalRules: [ExternalRule] },
    { spec: { metrics: [{ external: Wanted }] } },
  ];
  const [rule] = externalRules;
  const { series, namespaceLabel } = readRule(rule);
  const [{ external }] = spec.metrics;

  it('is given the metrics of servers, and no others', () => {
    const named = METRICS.filter(({ name }) => new RegExp(series).test(name)).map(({ name }) => name);
    expect(named.toSorted()).toEqual(['copilot_gateway_server_sessions', 'copilot_gateway_server_turns']);
    expect(named).toContain(external.metric.name);
  });

  it('asks for those of its tenant, in its namespace', () => {
    const [selected, ...others] = read(rule, external, { [namespaceLabel]: 'team' });
    expect(others).toEqual([]);
    expect(selected).toEqual({ metric: external.metric.name, labels: ['tenant', 'tenant_namespace', 'tenant'] });
    expect(labelsOf(external.metric.name)).toEqual(expect.arrayContaining(selected?.labels ?? []));
  });
});

describe('the autoscaler of the gateway', () => {
  const [{ rules }, { gateway }] = yamlUnder('gateway.md', '### Scaling the gateway') as [
    { rules: [Rule] },
    { gateway: { autoscaling: { metrics: [{ pods: Wanted }] } } },
  ];
  const [rule] = rules;
  const [{ pods }] = gateway.autoscaling.metrics;

  it('asks for the connections that are served, of each pod', () => {
    const { name, selector } = pods.metric;
    expect(selectorsOf(rule.seriesQuery).map(({ metric }) => metric)).toEqual([name]);
    expect(read(rule, pods, { namespace: 'gateways', pod: 'a' })).toEqual([
      { metric: name, labels: ['state', 'namespace', 'pod', 'pod'] },
    ]);
    expect(labelsOf(name)).toEqual(['state']);
    expect(CLIENT_STATES).toContain(selector.matchLabels['state']);
  });
});
