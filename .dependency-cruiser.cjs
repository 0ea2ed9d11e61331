/** The import table of docs/architecture.md, held mechanically. */
const layer = (name, from, allowed) => ({
  name,
  severity: 'error',
  from: { path: from, pathNot: '\\.test\\.ts$' },
  to: { path: '^(workflows|activities|workers|client|infra|test)/', pathNot: allowed },
});
const contracts = '^workflows/[^/]+\\.activities\\.ts$';
const messages = '^workflows/[^/]+\\.messages\\.ts$';
const domain = '^workflows/domain/';

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    layer('domain-imports-domain-only', domain, [domain]),
    layer('workflows-stay-deterministic', '^workflows/', ['^workflows/']),
    {
      name: 'activities-import-their-own-stage',
      severity: 'error',
      from: { path: '^activities/([^/]+)/', pathNot: '\\.test\\.ts$' },
      to: {
        path: '^(workflows|activities|workers|client|test)/',
        pathNot: [domain, contracts, messages, '^activities/$1/'],
      },
    },
    layer('infra-imports-domain-and-infra', '^infra/', [domain, '^infra/']),
    layer('client-imports-no-activities-or-workers', '^client/', [domain, contracts, messages, '^infra/', '^client/']),
    layer('workers-wire-and-do-not-import-workflows', '^workers/', [
      domain,
      contracts,
      messages,
      '^activities/',
      '^infra/',
      '^workers/',
    ]),
    {
      name: 'domain-has-no-packages',
      severity: 'error',
      from: { path: domain, pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['npm', 'npm-dev', 'core'] },
    },
    {
      name: 'no-test-imports-in-product',
      severity: 'error',
      from: { path: '^(workflows|activities|workers|client|infra)/', pathNot: '\\.test\\.ts$' },
      to: { path: '^test/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
