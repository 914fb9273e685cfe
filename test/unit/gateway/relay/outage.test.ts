import { describe, expect, it } from '@jest/globals';
import { Outage } from '../../../../src/gateway/relay/server/outage.ts';

function outage() {
  let now = 1_000;
  const found = new Outage({ monotonic: () => now }, { redialAfterMs: 250, failoverMs: 300_000, awayMs: 10_000 });
  return { outage: found, pass: (ms: number) => void (now += ms) };
}

describe('clients of a server that is away wait', () => {
  it('for long if it was there: their sessions go on at the one that comes', () => {
    const { outage: away, pass } = outage();
    away.ended();
    away.lost();
    away.failed();
    pass(299_999);
    expect(away.isOver).toBe(false);
    pass(1);
    expect(away.isOver).toBe(true);
  });

  it('for a moment if it never was: they have lost nothing, and are told', () => {
    const { outage: away, pass } = outage();
    away.failed();
    pass(9_999);
    expect(away.leftMs).toBe(1);
    pass(1);
    expect(away.isOver).toBe(true);
  });

  it('for a moment again when one comes to a server that has been away for long', () => {
    const { outage: away, pass } = outage();
    away.ended();
    away.failed();
    pass(3_600_000);
    away.failed();
    expect(away.leftMs).toBe(10_000);
  });
});
