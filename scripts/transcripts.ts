/**
 * `make transcripts`: writes docs/kubectl.md, what kubectl shows of tenants and sessions, and the transcript in README.md, from the
 * local cluster with the operator of this checkout.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { READY_MS, SERVER_IMAGE, TestNamespace } from '../test/support/cluster.ts';
import { output } from '../test/support/tools.ts';
import { waitFor } from '../test/support/wait.ts';
import { normalise } from './transcripts/normalise.ts';
import { withTranscript } from './transcripts/readme.ts';

const ROOT = join(import.meta.dirname, '..');
const DEMO = join(ROOT, 'scripts/transcripts/demo.yaml');

const HEADER = `<!-- Written by \`make transcripts\` from a real cluster. Edit scripts/transcripts.ts. -->

# What kubectl shows

Each of these was printed by \`kubectl\` in a namespace with the tenants and sessions of
[scripts/transcripts/demo.yaml](../scripts/transcripts/demo.yaml), on the local cluster, after one chat in the session \`review\`. Values that
differ in each run (ages, times, UIDs, addresses, sizes, token counts) are replaced by fixed ones. The [API reference](api.md) describes
every field.
`;

/** The transcript in the README. */
const GLANCE = 'get ct,csn';

const TRANSCRIPTS: readonly { readonly title: string; readonly text: string; readonly commands: readonly string[] }[] =
  [
    {
      title: 'At a glance',
      text: '`ct` and `csn` are the short names; `kubectl get copilot` lists both.',
      commands: [GLANCE],
    },
    {
      title: 'What is wrong, and what to do',
      text: 'In the column MESSAGE, as in the conditions and events of `kubectl describe`.',
      commands: ['get ct,csn -o wide'],
    },
    {
      title: 'One tenant',
      text: 'Spec with its defaults, conditions, servers, events.',
      commands: ['describe ct acme'],
    },
    { title: 'One session', text: 'Its server, usage, activity and expiry.', commands: ['describe csn review'] },
    {
      title: 'The fields',
      text: '`kubectl explain` describes every field.',
      commands: ['explain ct.spec.sessions', 'explain csn.spec'],
    },
  ];

async function prepare(namespace: TestNamespace): Promise<void> {
  const kubectl = (...args: string[]) => namespace.kubectl.ok([...args, '-n', namespace.name]);
  const registry = SERVER_IMAGE.slice(0, SERVER_IMAGE.lastIndexOf('/'));
  const model = readFileSync(join(ROOT, 'test/model/manifest.yaml'), 'utf8');
  await namespace.kubectl.ok(
    ['apply', '-n', namespace.name, '-f', '-'],
    model.replace('image: localhost/', `image: ${registry}/`),
  );
  await kubectl('apply', '-f', DEMO);
  await kubectl('rollout', 'status', 'deployment/test-model', '--timeout=90s');
  await kubectl('wait', 'ct/acme', '--for=condition=Ready', '--timeout=120s');
  await kubectl('wait', 'ct/octo', '--for=condition=Stalled', '--timeout=60s');
  await kubectl('wait', 'ct/initech', '--for=jsonpath={.status.serversReady}=0/0', '--timeout=60s');
  const chat = ['-n', namespace.name, '--session', 'review', 'acme', 'What is a Kubernetes operator?'];
  await output(process.execPath, [join(ROOT, 'scripts/chat.ts'), ...chat]);
  await waitFor('the status is complete', () => isComplete(namespace), {
    withinMs: 2 * READY_MS,
    everyMs: 500,
  });
}

/** Whether the status has what the operator observes some time after the turn: usage, size, the tenant's counts and its storage. */
async function isComplete(namespace: TestNamespace): Promise<boolean> {
  const get = (...args: string[]) => namespace.kubectl.ok(['get', ...args, '-n', namespace.name]);
  const session = '{.status.phase} {.status.usage.turns} {.status.sizeBytes}';
  const [phase, turns, bytes] = (await get('csn', 'review', '-o', `jsonpath=${session}`)).split(' ');
  const tenant = '{.status.sessions.total} {.status.storage.used} {.status.lastActivityTime}';
  const [total, used, active] = (await get('ct', 'acme', '-o', `jsonpath=${tenant}`)).split(' ');
  return phase === 'Idle' && turns === '1' && total === '1' && [bytes, used, active].every(Boolean);
}

/** The output of kubectl, by command. */
async function printed(namespace: TestNamespace): Promise<Map<string, string>> {
  const transcripts = new Map<string, string>();
  for (const command of TRANSCRIPTS.flatMap(({ commands }) => commands)) {
    const text = await namespace.kubectl.ok([...command.split(' '), '-n', namespace.name]);
    transcripts.set(command, `\`\`\`console\n$ kubectl ${command}\n${normalise(text, namespace.name)}\n\`\`\``);
  }
  return transcripts;
}

function document(transcripts: ReadonlyMap<string, string>): string {
  const sections = TRANSCRIPTS.map(({ title, text, commands }) =>
    [`## ${title}`, text, ...commands.map((command) => transcripts.get(command))].join('\n\n'),
  );
  return `${[HEADER.trimEnd(), ...sections].join('\n\n')}\n`;
}

if (import.meta.main) {
  const namespace = await TestNamespace.open();
  try {
    await namespace.startOperator();
    await prepare(namespace);
    const transcripts = await printed(namespace);
    writeFileSync(join(ROOT, 'docs/kubectl.md'), document(transcripts));
    const readme = join(ROOT, 'README.md');
    writeFileSync(readme, withTranscript(readFileSync(readme, 'utf8'), transcripts.get(GLANCE) ?? ''));
  } finally {
    await namespace.close();
  }
}
