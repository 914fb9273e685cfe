// A stand-in of a cluster's metrics pipeline, where Prometheus and its adapter are: serves external.metrics.k8s.io by what the gateway says at the URL at that moment.
// The second argument has what it needs to know of the adapter's rule: which metrics there are, and which of their labels is the namespace.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const [url, rule] = process.argv.slice(2);
const { series, namespaceLabel } = JSON.parse(rule);
const groupVersion = 'external.metrics.k8s.io/v1beta1';
const root = `/apis/${groupVersion}`;

async function scraped() {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const lines = (await response.text()).matchAll(/^(\w+)\{(.*)\} (\S+)$/gm);
  return Array.from(lines, ([, name, labels, value]) => {
    const pairs = labels.matchAll(/(\w+)="([^"]*)"/g);
    return { name, labels: Object.fromEntries(Array.from(pairs, ([, key, of]) => [key, of])), value: Number(value) };
  }).filter(({ name }) => new RegExp(series).test(name));
}

/** The sum over the series that match. Without one there is no value, as in Prometheus: that is not zero. */
async function valuesOf(namespace, metricName, selector) {
  const equal = selector.split(',').filter(Boolean);
  const wanted = [[namespaceLabel, namespace], ...equal.map((each) => each.split('='))];
  const matching = (await scraped()).filter(
    ({ name, labels }) => name === metricName && wanted.every(([key, of]) => labels[key] === of),
  );
  const value = String(matching.reduce((sum, each) => sum + each.value, 0));
  const timestamp = new Date().toISOString();
  return matching.length === 0 ? [] : [{ metricName, metricLabels: Object.fromEntries(wanted), timestamp, value }];
}

async function answerTo({ pathname, searchParams }) {
  if (pathname === root) {
    const names = new Set((await scraped()).map(({ name }) => name));
    const resource = { singularName: '', namespaced: true, kind: 'ExternalMetricValueList', verbs: ['get'] };
    const resources = Array.from(names, (name) => ({ name, ...resource }));
    return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
  }
  const [, namespace, metric] = /^\/namespaces\/([^/]+)\/(\w+)$/.exec(pathname.slice(root.length)) ?? [];
  if (metric === undefined) return undefined;
  const items = await valuesOf(namespace, metric, searchParams.get('labelSelector') ?? '');
  return { kind: 'ExternalMetricValueList', apiVersion: groupVersion, metadata: {}, items };
}

async function answer(request, response) {
  const found = await answerTo(new URL(request.url, 'https://adapter')).catch((error) => ({ message: error.message }));
  // No answer of Kubernetes' is without a kind.
  const code = found === undefined ? 404 : found.kind === undefined ? 500 : 200;
  const failure = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, ...found };
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(code === 200 ? found : failure));
}

const [cert, key] = ['tls.crt', 'tls.key'].map((name) => readFileSync(`/certificate/${name}`));
createServer({ cert, key }, answer).listen(6443);
