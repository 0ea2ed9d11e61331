'use strict';
/** Prints `N passed, N failed[, N skipped]` from a result file of jest; exits 1 when anything failed or nothing ran. */
const { readFileSync } = require('node:fs');

/** A suite that did not even load has no tests to count; it counts as one that failed. */
function count(file, checkExit, testExit) {
  const checks = { passed: checkExit === 0 ? 1 : 0, failed: checkExit === 0 ? 0 : 1 };
  let results;
  try {
    results = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { passed: checks.passed, failed: checks.failed + 1, skipped: 0 };
  }
  const failed = results.numFailedTests + results.numRuntimeErrorTestSuites + checks.failed;
  const unexplained = testExit !== 0 && failed === checks.failed ? 1 : 0;
  return {
    passed: results.numPassedTests + checks.passed,
    failed: failed + unexplained,
    skipped: results.numPendingTests + results.numTodoTests,
  };
}

const { passed, failed, skipped } = count(process.argv[2], Number(process.argv[3]), Number(process.argv[4]));
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
