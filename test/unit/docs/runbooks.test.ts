import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MetricObjectWithValues, MetricValue } from 'prom-client';
import { registered, registeredByGateway, type Registered } from '../../../scripts/metrics.ts';
import { LEASE_NAME } from '../../../src/commands/operator/permissions.ts';
import { RELIST_REASONS } from '../../../src/kube/cache/relist.ts';
import { ALERT_FILES, alertsIn } from '../../support/alerts.ts';
import { selectorsOf, type Matcher, type Selector } from '../../support/promql.ts';

const FOLDER = join(import.meta.dirname, '../../../docs/runbooks');
const INDEX = 'README.md';
const page = (name: string) => readFileSync(join(FOLDER, name), 'utf8');
const PAGES = readdirSync(FOLDER).filter((name) => name !== INDEX);
/** Of a page, with the line after the last one. */
const MAX_LINES = 61;
const ALERTS = ALERT_FILES.flatMap(alertsIn);
const pageOf = ({ annotations }: (typeof ALERTS)[number]) => annotations['runbook_url']?.replace('RUNBOOK_URL/', '');
const sorted = (names: Iterable<string | undefined>) => [...names].map(String).toSorted();

/** Expressions by where they are. Those of the alerts have to select the release, too. */
const ALERT_EXPRESSIONS = ALERTS.map(({ alert, expr }): [string, string] => [alert, expr]);
const PAGE_EXPRESSIONS = PAGES.flatMap((name) =>
  [...page(name).matchAll(/^```promql\n([\s\S]*?)^```$/gm)].map(([, expr = '']): [string, string] => [name, expr]),
);

/** What is known of a series by its name. */
interface Definition {
  readonly type: string;
  readonly labels: readonly string[];
  /** Values of labels that it has from the start. */
  readonly values: readonly Readonly<Record<string, unknown>>[];
}

/** A histogram is three series, which count. */
function seriesOf(
  metric: MetricObjectWithValues<MetricValue<string>>,
  labels: readonly string[],
): [string, Definition][] {
  const { name, values } = metric;
  const type = String(metric.type);
  const definition = { type, labels, values: values.map((value) => value.labels) };
  if (type !== 'histogram') return [[name, definition]];
  const counts = { ...definition, type: 'counter' };
  return [
    [`${name}_bucket`, { ...counts, labels: [...labels, 'le'] }],
    [`${name}_sum`, counts],
    [`${name}_count`, counts],
  ];
}

const REGISTRIES = [registered(), registeredByGateway()];
const LABELS = new Map(
  REGISTRIES.flatMap((registry) => registry.getMetricsAsArray()).map(({ name, labelNames = [] }: Registered) => [
    name,
    labelNames,
  ]),
);
const METRICS = new Map(
  (await Promise.all(REGISTRIES.map((registry) => registry.getMetricsAsJSON())))
    .flat()
    .flatMap((metric) => seriesOf(metric, LABELS.get(metric.name) ?? [])),
);
const isCounter = ({ metric }: Selector) => METRICS.get(metric)?.type === 'counter';

const LEADER = 'leader_election_master_status';
/** Labels that Prometheus gives each series of a target. */
const OF_TARGETS = ['namespace', 'instance', 'pod'];
/** Values of labels whose series come with the first event. */
const LATER: Readonly<Record<string, RegExp>> = {
  code: /^(<error>|[1-5](\d\d|\.\.))$/,
  controller: /^(copilottenant|copilotsession|gateway-fleet)$/,
  name: new RegExp(`^${LEASE_NAME}$`),
  reason: new RegExp(`^(${RELIST_REASONS.join('|')})$`),
};

/** Values of a matcher that no series of the metric will ever have. */
function unknownValues(metric: string, { label, values }: Matcher): string[] {
  const known = METRICS.get(metric)?.values.flatMap((labels) => (label in labels ? [String(labels[label])] : []));
  const isKnown = (value: string) =>
    known === undefined || known.length === 0 ? LATER[label]?.test(value) === true : known.includes(value);
  return OF_TARGETS.includes(label) ? [] : values.filter((value) => !isKnown(value));
}

/** What becomes of clients, calls, turns and sessions, and of it what nobody need be alerted of: it is usual, or what the client asked for or did wrong. */
const OUTCOMES: readonly (readonly [metric: string, label: string, usual: readonly string[]])[] = [
  [
    'copilot_gateway_refused_calls_total',
    'reason',
    // ModelUnavailable: CopilotModelNotConfigured. TooManyPrompts: CopilotPromptsRefused. SessionInUse: the CopilotSession asks for it.
    [
      'Invalid',
      'TooManyCalls',
      'TooManySessions',
      'UserFull',
      'SessionInUse',
      'TenantPaused',
      'ModelUnavailable',
      'TooManyPrompts',
    ],
  ],
  ['copilot_coordination_operations_total', 'result', ['Done', 'Lost']],
  ['copilot_gateway_woken_calls_total', 'result', ['Woken', 'ClientGone']],
  ['copilot_gateway_home_searches_total', 'result', ['Here', 'Peer']],
  ['copilot_gateway_restored_sessions_total', 'result', ['Restored']],
  ['copilot_gateway_failovers_total', 'result', ['Restored', 'PartlyRestored']],
  ['copilot_gateway_failover_sessions_total', 'result', ['Idle', 'Finished', 'Running', 'Continued', 'SentAgain']],
  ['copilot_gateway_turns_total', 'result', ['Finished', 'SessionClosed', 'SessionDeleted']],
  ['copilot_gateway_drains_total', 'result', ['Finished', 'Withdrawn']],
  // A success is read by the alert, too.
  ['copilot_gateway_oidc_key_reads_total', 'result', []],
  ['copilot_gateway_server_disconnects_total', 'reason', ['Replaced', 'Closed']],
  ['copilot_gateway_server_dials_total', 'result', ['Connected', 'Replaced', 'Closed']],
  [
    'copilot_gateway_held_prompts_total',
    'result',
    ['Sent', 'ClientGone', 'Cancelled', 'ServerLost', 'SessionClosed', 'SessionDeleted'],
  ],
  ['copilot_tenant_wake_seconds_count', 'result', ['Awake']],
];

/** Each replica of the gateway has its own. */
const OF_GATEWAY = new Set(
  registeredByGateway()
    .getMetricsAsArray()
    .map(({ name }) => name),
);
const isLeaders = ({ metric }: Selector) =>
  metric.startsWith('copilot_') && !OF_GATEWAY.has(metric) && METRICS.get(metric)?.type === 'gauge';

describe('what an expression reads', () => {
  it('is its metrics, with what is around them', () => {
    const expression = `sum by (code) (rate(calls{code=~"4..|500"}[5m]) and on (instance) (leader == 1)) > 0`;
    expect(selectorsOf(expression)).toEqual([
      {
        metric: 'calls',
        matchers: [{ label: 'code', operator: '=~', values: ['4..', '500'] }],
        functions: ['rate'],
        restrictedTo: ['(leader == 1)'],
        keeps: ['code'],
      },
      { metric: 'leader', matchers: [], functions: [], restrictedTo: [], keeps: [] },
    ]);
  });

  it.each(['sum by (code (calls)', 'rate(calls[5m)', 'calls{code="4}', '{code="4"}'])('is unknown of %s', (wrong) => {
    expect(() => selectorsOf(wrong)).toThrow(/no PromQL|without the name of a metric/);
  });
});

describe.each([...ALERT_EXPRESSIONS, ...PAGE_EXPRESSIONS])('the expression of %s', (_where, expression) => {
  const selectors = selectorsOf(expression);

  it('names metrics, labels and values that exist', () => {
    for (const { metric, matchers, keeps } of selectors) {
      const labels = [...(METRICS.get(metric)?.labels ?? []), ...OF_TARGETS];
      expect([metric, METRICS.has(metric)]).toEqual([metric, true]);
      expect([
        metric,
        [...matchers.map(({ label }) => label), ...keeps].filter((each) => !labels.includes(each)),
      ]).toEqual([metric, []]);
      for (const matcher of matchers)
        expect([metric, matcher.label, unknownValues(metric, matcher)]).toEqual([metric, matcher.label, []]);
    }
  });

  it('asks for changes of counters, and not of gauges', () => {
    const wrong = selectors
      .filter(({ metric, functions }) => metric !== LEADER && !functions.includes('absent'))
      .filter((each) => isCounter(each) !== each.functions.some((name) => name === 'increase' || name === 'rate'));
    expect(wrong).toEqual([]);
  });

  it("reads the leader's gauges of tenants, sessions and servers", () => {
    const wrong = selectors
      .filter(isLeaders)
      .filter(
        ({ restrictedTo }) => !restrictedTo.some((text) => text.startsWith(`(${LEADER}{`) && text.includes('== 1')),
      );
    expect(wrong).toEqual([]);
  });
});

describe.each(ALERT_EXPRESSIONS)('the alert %s', (_name, expression) => {
  it('is about one release', () => {
    const others = selectorsOf(expression).filter(
      ({ matchers }) =>
        !matchers.some(({ label, values }) => label === 'namespace' && values.join() === 'RELEASE_NAMESPACE'),
    );
    expect(others).toEqual([]);
  });
});

describe.each(OUTCOMES)('the values of %s', (metric, label, usual) => {
  it('that are not usual are in an alert each, which a new one has to be, too', () => {
    const all = METRICS.get(metric)?.values.map((labels) => String(labels[label])) ?? [];
    const alerted = ALERT_EXPRESSIONS.flatMap(([, expression]) => selectorsOf(expression))
      .filter((selector) => selector.metric === metric)
      .flatMap(({ matchers }) =>
        matchers.filter((matcher) => matcher.label === label && /^=~?$/.test(matcher.operator)),
      )
      .flatMap(({ values }) => values);
    expect(sorted(new Set([...alerted, ...usual]))).toEqual(sorted(new Set(all)));
    expect(usual.filter((value) => alerted.includes(value))).toEqual([]);
  });
});

describe('an alert', () => {
  it.each(ALERTS.map((alert): [string, typeof alert] => [alert.alert, alert]))(
    'has severity, summary, description and page: %s',
    (_name, alert) => {
      expect(['critical', 'warning', 'info']).toContain(alert.labels['severity']);
      expect(alert.for).toMatch(/^\d+m$/);
      expect(alert.annotations).toEqual({
        summary: expect.stringMatching(/\.$|\}\}\.$/),
        description: expect.stringMatching(/\.$/),
        runbook_url: expect.stringMatching(/^RUNBOOK_URL\/[a-z-]+\.md$/),
      });
    },
  );

  it('has a name of its own', () => {
    expect(new Set(ALERTS.map(({ alert }) => alert)).size).toBe(ALERTS.length);
  });
});

describe('docs/runbooks', () => {
  it('has a page for each alert, and no other', () => {
    expect(sorted(PAGES)).toEqual(sorted(new Set(ALERTS.map(pageOf))));
  });

  it.each(PAGES)('%s names its alerts, has all sections, and is short', (name) => {
    const text = page(name);
    const [, named = ''] = /^Alerts?: (.+)$/m.exec(text) ?? [];
    const own = ALERTS.filter((alert) => pageOf(alert) === name);
    expect(sorted([...named.matchAll(/`(\w+)`/g)].map(([, alert]) => alert))).toEqual(
      sorted(own.map(({ alert }) => alert)),
    );
    const sections = [...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
    expect(sections).toEqual([
      'What it means',
      'First look',
      'Causes and remedies',
      'When it clears',
      'What not to do',
    ]);
    expect(text.split('\n').length).toBeLessThanOrEqual(MAX_LINES);
  });

  it.each([...PAGES, INDEX])('%s names metrics that exist', (name) => {
    const named = [...page(name).matchAll(/`((?:copilot|workqueue|rest_client|reflector|controller_runtime)_\w+)/g)];
    expect(
      named.map(([, metric = '']) => metric).filter((metric) => !METRICS.has(metric) && !LABELS.has(metric)),
    ).toEqual([]);
  });

  it('has an index with the severity and page of each alert', () => {
    const rows = [...page(INDEX).matchAll(/^\| `(\w+)` +\| (\w+) +\| .*\]\(([\w-]+\.md)\) +\|$/gm)];
    const listed = rows.map(([, alert, severity, target]) => [alert, severity, target]);
    expect(listed).toEqual(ALERTS.map((alert) => [alert.alert, alert.labels['severity'], pageOf(alert)]));
  });
});
