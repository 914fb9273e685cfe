import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { CHART } from './chart.ts';

/** The files of the chart that have alerts, of the operator and of the gateway. */
export const ALERT_FILES = ['alerts/operator.yaml', 'alerts/gateway.yaml'] as const;

/** A rule as Prometheus has it. */
export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** The specification of a PrometheusRule. */
export interface AlertGroups {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Alert[] }[];
}

/** The alerts in a file of the chart, before the release's own names are put in. */
export const alertsIn = (file: (typeof ALERT_FILES)[number]): Alert[] =>
  (parse(readFileSync(join(CHART, file), 'utf8')) as AlertGroups).groups.flatMap(({ rules }) => rules);
