import { describe, expect, it } from '@jest/globals';
import { CLEANUP_FLAGS, parseCleanupOptions } from '../../../src/commands/cleanup/options.ts';
import { UsageError } from '../../../src/commands/flags.ts';
import { cleanupPod } from '../../../src/resources/cleanup-pod.ts';
import { sampleTenant } from '../../support/tenants.ts';

const env = { COPILOT_CONNECTION_TOKEN: 'secret' };
const volume = '--volume=acme-0=/volumes/acme-0';

describe('the command line of the cleanup', () => {
  it('needs a task and a place', () => {
    expect(parseCleanupOptions(['--ttl=720h', volume], {})).toEqual({
      task: { ttlMs: 720 * 3_600_000, policiesFile: undefined },
      dryRun: false,
      targets: [{ name: 'acme-0', volume: '/volumes/acme-0' }],
      token: '',
      resultFile: undefined,
    });
  });

  it('takes servers, volumes, and both of one name', () => {
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

  it('deletes one session', () => {
    expect(parseCleanupOptions(['--delete-session', 's_1-X', volume], {}).task).toEqual({ sessionId: 's_1-X' });
  });

  it('only sweeps', () => {
    expect(parseCleanupOptions(['--sweep', volume], {}).task).toBe('Sweep');
  });

  it.each([
    [[volume], 'write one of --ttl DURATION, --delete-session ID and --sweep'],
    [['--ttl=1h', '--delete-session=a', volume], 'write one of --ttl'],
    [['--ttl=1h', '--sweep', volume], 'write one of --ttl'],
    [['--sweep', '--policies=/p', volume], '--policies goes with --ttl'],
    [['--sweep', '--server=a=h:1'], '--sweep works on volumes'],
    [['--ttl=0s', volume], '--ttl=0s: write a duration above 0'],
    [['--ttl=-1h', volume], '--ttl=-1h: write whole hours'],
    [['--ttl=30d', volume], '--ttl=30d: write whole hours'],
    [['--delete-session=', volume], '--delete-session=: write the id'],
    [['--delete-session=../x', volume], '--delete-session=../x: write the id'],
    [['--delete-session=a', '--policies=/p', volume], '--policies goes with --ttl'],
    [['--ttl=1h'], 'where? write --server'],
    [['--ttl=1h', '--volume=/x'], '--volume=/x: write NAME=PATH'],
    [['--ttl=1h', '--volume==/x'], '--volume==/x: write NAME=PATH'],
    [['--ttl=1h', '--volume=a='], '--volume=a=: write NAME=PATH'],
    [['--ttl=1h', volume, volume], 'acme-0 has a volume already'],
    [['--ttl=1h', '--server=a=h:1', '--server=a=h:2'], 'a has an address already'],
    [['--ttl=1h', '--server=a=h'], '--server=a=h: write NAME=HOST:PORT'],
    [['--ttl=1h', '--server=a=h:0'], '--server=a=h:0: write NAME=HOST:PORT'],
    [['--ttl=1h', '--server=a=h:65536'], '--server=a=h:65536: write NAME=HOST:PORT'],
    [['--ttl=1h', '--server=a=::1:80'], 'write NAME=HOST:PORT'],
    [['--ttl=1h', '--colour', volume], "Unknown option '--colour'"],
    [['--ttl=1h', 'now', volume], 'positional'],
  ])('refuses %j', (args, sentence) => {
    const parse = () => parseCleanupOptions(args, env);
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(sentence);
  });

  it('needs the token for servers', () => {
    expect(() => parseCleanupOptions(['--ttl=1h', '--server=a=h:1'], {})).toThrow('set COPILOT_CONNECTION_TOKEN');
  });

  it('is explained, flag by flag', () => {
    const flags = [...CLEANUP_FLAGS.matchAll(/^ {2}--([a-z-]+)/gm)].map((match) => match[1]);
    expect(flags).toEqual(['ttl', 'delete-session', 'sweep', 'server', 'volume', 'policies', 'dry-run', 'result-file']);
  });

  it('is the one that the pods of a tenant are given', () => {
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
