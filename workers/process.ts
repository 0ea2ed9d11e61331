import { parseConfig, type SlipwayConfig } from '../infra/config/config';
import { createLogger, type Logger } from '../infra/telemetry/log';
import { ERRORS, SlipwayError } from '../workflows/domain/errors';

/** Main of a process: config parsed once, a logger, and an exit code from the catalogue when it fails. */
export function runProcess(name: string, main: (config: SlipwayConfig, logger: Logger) => Promise<void>): void {
  const run = async (): Promise<number> => {
    const config = parseConfig(process.env);
    const logger = createLogger(config, name);
    try {
      await main(config, logger);
      logger.info({}, 'process ends');
      return 0;
    } catch (error) {
      logger.error({ err: error }, 'process failed');
      return ERRORS[error instanceof SlipwayError ? error.code : 'INTERNAL'].exit;
    }
  };
  run().then(
    (code) => process.exit(code),
    (error: unknown) => {
      process.stderr.write(`${error instanceof SlipwayError ? `${error.code}: ` : ''}${String(error)}\n`);
      process.exit(ERRORS[error instanceof SlipwayError ? error.code : 'INTERNAL'].exit);
    },
  );
}
