import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Logger } from '../../../infra/telemetry/log';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { GatewayFile } from './gateway-file';

type TlsFiles = NonNullable<GatewayFile['tls']>;

/** What a server's TLS is made of. With `ca`, callers need a certificate of one of these authorities. */
export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly minVersion: 'TLSv1.2';
  readonly ca?: Buffer;
}

export interface CertificatesOptions {
  /** The operator's file as it is now. */
  readonly files: () => TlsFiles | null;
  readonly logger: Logger;
  readonly onProblem: (error: Error) => void;
  readonly everyMs?: number;
}

const LOOK_EVERY_MS = 2_000;
const NO_AUTHORITY = Buffer.alloc(0);

/**
 * Certificate, key and authorities of a gateway, looked at again so that renewed ones are taken without a restart. Ones that do not fit
 * together, as in the middle of a renewal, change nothing. Whether there is TLS, and whether callers need a certificate, stays as it began.
 */
export class Certificates {
  private current: TlsMaterial;
  private timer: NodeJS.Timeout | null = null;

  /** Throws CONFIG_INVALID. */
  constructor(private readonly options: CertificatesOptions) {
    const files = options.files()!;
    this.current = checked(readTls(files), files);
  }

  get material(): TlsMaterial {
    return this.current;
  }

  /** Calls back with what changed, until `stop`. */
  follow(take: (material: TlsMaterial) => void): void {
    const { everyMs = LOOK_EVERY_MS, logger, onProblem } = this.options;
    this.timer = setInterval(() => {
      try {
        if (!this.look()) return;
        take(this.current);
        logger.info({}, 'new certificate taken');
      } catch (error) {
        onProblem(error as Error);
      }
    }, everyMs);
    this.timer.unref();
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
  }

  private look(): boolean {
    const files = this.options.files();
    if (files === null || (files.clientAuthorities === null) !== (this.current.ca === undefined))
      throw new SlipwayError('CONFIG_INVALID', 'TLS cannot be switched in a gateway that runs; start it anew');
    const next = readTls(files);
    if (isSame(next, this.current)) return false;
    this.current = checked(next, files);
    return true;
  }
}

function readTls({ certificate, key, clientAuthorities }: TlsFiles): TlsMaterial {
  return {
    cert: readPart(certificate),
    key: readPart(key),
    minVersion: 'TLSv1.2',
    ...(clientAuthorities === null ? {} : { ca: readPart(clientAuthorities) }),
  };
}

function readPart(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SlipwayError('CONFIG_INVALID', `tls: ${(error as Error).message}`, { cause: error });
  }
}

/** Throws CONFIG_INVALID where they are not what they should be, or the key is not the certificate's. */
function checked(material: TlsMaterial, { certificate, key }: TlsFiles): TlsMaterial {
  try {
    createSecureContext(material);
    return material;
  } catch (error) {
    const message = `tls: ${certificate} and ${key}: ${(error as Error).message}`;
    throw new SlipwayError('CONFIG_INVALID', message, { cause: error });
  }
}

function isSame(a: TlsMaterial, b: TlsMaterial): boolean {
  return a.cert.equals(b.cert) && a.key.equals(b.key) && (a.ca ?? NO_AUTHORITY).equals(b.ca ?? NO_AUTHORITY);
}
