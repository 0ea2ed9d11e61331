import { buildProgram } from './program';
import { processOutput } from './output';
import { reportError } from './session';

buildProgram()
  .parseAsync(process.argv)
  .catch((error: unknown) => reportError(error, processOutput(), process.argv.includes('--json')));
