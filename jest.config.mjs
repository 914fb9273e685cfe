// One project a level. Jest 30 strips the types itself, so there is no transformer (docs/adr/0005-toolchain.md).
const level = (name, options = {}) => ({
  displayName: name,
  testEnvironment: 'node',
  testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
  transform: {},
  extensionsToTreatAsEsm: ['.ts'],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.cluster/'],
  ...options,
});

export default {
  coverageProvider: 'v8',
  // A deadline for what hangs, not a measure of speed: the machine may be busy with other things.
  testTimeout: 60_000,
  projects: [
    level('unit'),
    level('integration'),
    level('faults'),
    level('e2e'),
    level('argocd'),
    level('kills'),
    level('upgrades'),
  ],
};
