import { describe, expect, it } from '@jest/globals';
import { Node } from '../../../src/kube/types/builtins.ts';
import { slimNode, WatchedNodes } from '../../../src/tenant/nodes.ts';
import { FakeInformer } from '../../support/fake-informer.ts';

const node = (name: string, unschedulable = false, version = '1'): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, uid: `uid-of-${name}`, resourceVersion: version, labels: { zone: 'a' } },
  spec: { unschedulable, podCIDR: '10.1.0.0/24', taints: [{ key: 'a', value: 'b', effect: 'NoSchedule' }] },
  status: { phase: 'Running' },
});

describe('nodes', () => {
  it('are kept as what says whether pods have to leave', () => {
    expect(slimNode(node('n1', true))).toEqual({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n1', uid: 'uid-of-n1', resourceVersion: '1' },
      spec: { unschedulable: true, taints: [{ key: 'a', value: 'b', effect: 'NoSchedule' }] },
    });
  });

  it('are unknown until they are listed, and hidden while that is forbidden', () => {
    const informer = new FakeInformer<Node>(Node, { synced: false });
    const nodes = new WatchedNodes(informer);
    expect(nodes.view()).toBe('Unknown');
    informer.forbidden.set('', new Error('forbidden'));
    expect(nodes.view()).toBe('Hidden');
    informer.forbidden.clear();
    informer.finishSync();
    expect(nodes.view()).toBe('Seen');
  });

  it('are announced when pods have to leave them, and when they may stay after all, and for nothing else', () => {
    const informer = new FakeInformer<Node>(Node);
    const nodes = new WatchedNodes(informer);
    const seen: string[] = [];
    nodes.onChange((name) => void seen.push(name));
    informer.set(node('n1'));
    informer.set(node('n2', true));
    informer.set(node('n1', true, '2'));
    const departure = { message: 'Node n1 is cordoned.', comesBack: false };
    expect([seen, nodes.departure('n1', []), nodes.departure('n3', [])]).toEqual([['n2', 'n1'], departure, undefined]);
    expect(nodes.departure('n1', [{ operator: 'Exists' }])?.comesBack).toBe(true);
    informer.set(node('n1', true, '3'));
    informer.set(node('n1', false, '4'));
    expect([seen, nodes.departure('n1', [])]).toEqual([['n2', 'n1', 'n1'], undefined]);
  });
});
