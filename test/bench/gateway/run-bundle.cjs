'use strict';
/** A gateway out of one file, as start.cjs runs it: run-bundle.cjs <file> */
require('../../../workers/gateway/bundle.cjs').runBundle(process.argv[2]);
