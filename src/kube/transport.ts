/** Query of a URL; absent values are left out. */
export type Query = Record<string, string | number | boolean | undefined>;
