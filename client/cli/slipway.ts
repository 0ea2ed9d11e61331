import { buildProgram } from './program';
import { processOutput } from './output';
import { reportError } from './session';

// `slipway … | head` is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 70));

buildProgram()
  .parseAsync(process.argv)
  .catch((error: unknown) => reportError(error, processOutput(), process.argv.includes('--json')));
