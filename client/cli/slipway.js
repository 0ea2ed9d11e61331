#!/usr/bin/env node
'use strict';
/** The `slipway` program: installs what is missing, then becomes client/cli/slipway.ts. */
require('../../infra/bootstrap.cjs')
  .run('client/cli/slipway.ts', process.argv.slice(2))
  .catch((error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 70;
  });
