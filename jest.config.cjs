/** Unit tests of pure code first, then tests that start real servers; the latter share two workers on two cores. */
module.exports = {
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  testEnvironment: '<rootDir>/test/support/node-environment.cjs',
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'commonjs' } },
    ],
  },
  testMatch: ['<rootDir>/test/**/*.test.ts', '<rootDir>/workflows/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/.slipway/'],
  modulePathIgnorePatterns: ['/.slipway/'],
  testTimeout: 60_000,
  maxWorkers: 2,
};
