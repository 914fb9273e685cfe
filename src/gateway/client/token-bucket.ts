/** Token buckets: so much may come at once, and so much in a time. */

/** What is in a bucket. */
export interface Bucket {
  /** Below 0: more was taken than there was. */
  readonly tokens: number;
  /** When that was so, monotonic ms. */
  readonly at: number;
}

/** How a bucket is filled. */
export interface BucketRate {
  readonly perSecond: number;
  /** Tokens of a full one. */
  readonly burst: number;
}

/** Tokens that are in it now. One that nobody has taken from is full, and is not kept. */
export function tokensIn(bucket: Bucket | undefined, { perSecond, burst }: BucketRate, now: number): number {
  if (bucket === undefined) return burst;
  return Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * perSecond);
}

/** Ms until `cost` tokens may be taken; 0: now. What costs more than a full bucket has may take a full one, and leaves it in debt. */
export function waitMs(bucket: Bucket | undefined, rate: BucketRate, now: number, cost: number): number {
  const missing = Math.min(cost, rate.burst) - tokensIn(bucket, rate, now);
  return missing <= 0 ? 0 : Math.ceil((missing / rate.perSecond) * 1000);
}

/** The bucket without `cost` tokens. */
export function taken(bucket: Bucket | undefined, rate: BucketRate, now: number, cost: number): Bucket {
  return { tokens: tokensIn(bucket, rate, now) - cost, at: now };
}

/** The same of what comes whether it may or not: the debt that this makes is no more than a full bucket has. */
export function overdrawn(bucket: Bucket | undefined, rate: BucketRate, now: number, cost: number): Bucket {
  const tokens = tokensIn(bucket, rate, now);
  return { tokens: Math.max(tokens - cost, Math.min(tokens, -rate.burst)), at: now };
}
