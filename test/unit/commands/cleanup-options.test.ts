import { describe, expect, it } from '@jest/globals';
import { CLEANUP_FLAGS, parseCleanupOptions } from '../../../src/commands/cleanup/options.ts';
import { UsageError } from '../../../src/commands/flags.ts';
import { cleanupPod } from '../../../src/resources/cleanup-pod.ts';
import { sampleTenant } from '../../support/tenants.ts';

const env = { COPILOT_CONNECTION_TOKEN: 'secret' };
const volume = '--volume=acme-0=/volumes/acme-0';

describe('the command line of the cleanup', () => {
  it('requires a task and a target', () => {
    expect(parseCleanupOptions(['--ttl=720h', volume], {})).toEqual({
      task: { ttlMs: 720 * 3_600_000, policiesFile: undefined },
      dryRun: false,
      targets: [{ name: 'acme-0', volume: '/volumes/acme-0' }],
      token: '',
      resultFile: undefined,
    });
  });

  it('accepts servers, volumes, and both of one name', () => {
    const args = ['--ttl=1h30m', '--dry-run', '--policies=/p', '--result-file=/r', volume, '--volume=b=/b=1'];
    const servers = ['--server=acme-0=acme-0.team.svc:4321', '--server=six=[::1]:80'];
    expect(parseCleanupOptions([...args, ...servers], env)).toEqual({
      task: { ttlMs: 5_400_000, policiesFile: '/p' },
      dryRun: true,
      targets: [
        { name: 'acme-0', server: { host: 'acme-0.team.svc', port: 4321 }, volume: '/volumes/acme-0' },
        { name: 'six', server: { host: '::1', port: 80 } },
        { name: 'b', volume: '/b=1' },
      ],
      token: 'secret',
      resultFile: '/r',
    });
  });

  it('deletes sessions, each for its owner, in the order of the flags', () => {
    const taskOf = (...args: string[]) => parseCleanupOptions([...args, volume], {}).task;
    expect(taskOf('--delete-session', 's_1-X')).toEqual({ sessions: [{ sessionId: 's_1-X' }] });
    expect(taskOf('--delete-session=b=bob', '--delete-session=a=$x=y', '--stop-after=2m')).toEqual({
      sessions: [
        { sessionId: 'b', owner: 'bob' },
        { sessionId: 'a', owner: '$x=y' },
      ],
      maxMs: 120_000,
    });
  });

  it('only sweeps', () => {
    expect(parseCleanupOptions(['--sweep', volume], {}).task).toBe('Sweep');
  });

  it.each([
    [[volume], 'exactly one of --ttl, --delete-session and --sweep is required'],
    [['--ttl=1h', '--delete-session=a', volume], 'exactly one of --ttl'],
    [['--ttl=1h', '--sweep', volume], 'exactly one of --ttl'],
    [['--sweep', '--policies=/p', volume], '--policies requires --ttl'],
    [['--sweep', '--server=a=h:1'], '--sweep works on volumes'],
    [['--ttl=0s', volume], '--ttl=0s: must be longer than 0'],
    [['--ttl=-1h', volume], '--ttl=-1h: must be whole hours'],
    [['--ttl=30d', volume], '--ttl=30d: must be whole hours'],
    [['--delete-session=', volume], '--delete-session=: must be a session id'],
    [['--delete-session=../x', volume], '--delete-session=../x: must be a session id'],
    [['--delete-session=a', '--policies=/p', volume], '--policies requires --ttl'],
    [['--delete-session=a=', volume], '--delete-session=a=: the owner after "=" is empty'],
    [['--delete-session=a', '--stop-after=0s', volume], '--stop-after=0s: must be longer than 0'],
    [['--ttl=1h', '--stop-after=1m', volume], '--stop-after requires --delete-session'],
    [['--ttl=1h'], 'at least one --server'],
    [['--ttl=1h', '--volume=/x'], '--volume=/x: must be NAME=PATH'],
    [['--ttl=1h', '--volume==/x'], '--volume==/x: must be NAME=PATH'],
    [['--ttl=1h', '--volume=a='], '--volume=a=: must be NAME=PATH'],
    [['--ttl=1h', volume, volume], 'acme-0 already has a volume'],
    [['--ttl=1h', '--server=a=h:1', '--server=a=h:2'], 'a already has an address'],
    [['--ttl=1h', '--server=a=h'], '--server=a=h: must be NAME=HOST:PORT'],
    [['--ttl=1h', '--server=a=h:0'], '--server=a=h:0: must be NAME=HOST:PORT'],
    [['--ttl=1h', '--server=a=h:65536'], '--server=a=h:65536: must be NAME=HOST:PORT'],
    [['--ttl=1h', '--server=a=::1:80'], 'must be NAME=HOST:PORT'],
    [['--ttl=1h', '--colour', volume], "Unknown option '--colour'"],
    [['--ttl=1h', 'now', volume], 'positional'],
  ])('refuses %j', (args, sentence) => {
    const parse = () => parseCleanupOptions(args, env);
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(sentence);
  });

  it('requires the token for servers', () => {
    expect(() => parseCleanupOptions(['--ttl=1h', '--server=a=h:1'], {})).toThrow('set COPILOT_CONNECTION_TOKEN');
  });

  it('is in the help, flag by flag', () => {
    const flags = [...CLEANUP_FLAGS.matchAll(/^ {2}--([a-z-]+)/gm)].map((match) => match[1]);
    expect(flags).toEqual([
      'ttl',
      'delete-session',
      'sweep',
      'server',
      'volume',
      'stop-after',
      'policies',
      'dry-run',
      'result-file',
    ]);
  });

  it('is that of a tenant’s cleanup pods', () => {
    const pod = cleanupPod(sampleTenant(), {
      image: 'x',
      args: ['--ttl=720h', '--dry-run'],
      servers: [0, 1],
      volumes: [1, 2],
      policies: 'p',
    });
    const [command, ...args] = pod.containers[0]?.args ?? [];
    expect(command).toBe('cleanup');
    const { targets, task, dryRun, resultFile } = parseCleanupOptions(args, env);
    expect(targets.map(({ name, server, volume: path }) => [name, server?.port, path])).toEqual([
      ['acme-0', 4321, undefined],
      ['acme-1', 4321, '/volumes/acme-1'],
      ['acme-2', undefined, '/volumes/acme-2'],
    ]);
    expect(task).toEqual({ ttlMs: 720 * 3_600_000, policiesFile: '/etc/copilot-operator/policies.json' });
    expect([dryRun, resultFile]).toEqual([true, '/dev/termination-log']);
  });
});
