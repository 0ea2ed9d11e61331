import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const EXTENSIONS = `[server]
subjectAltName=IP:127.0.0.1,DNS:localhost
[client]
extendedKeyUsage=clientAuth
`;

/** An authority of the test's own, made with openssl; every certificate ends in a day. */
export class TestAuthority {
  readonly certificate: string;
  private serial = 0;

  constructor(
    private readonly folder: string,
    private readonly name: string,
  ) {
    this.certificate = this.path('pem');
    this.openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
      ...['-subj', `/CN=${name}`, '-keyout', this.path('key'), '-out', this.certificate],
      ...['-addext', 'keyUsage=critical,keyCertSign'],
    );
    writeFileSync(this.path('cnf'), EXTENSIONS);
  }

  /** Writes `<name>.pem` and `<name>.key` into the folder. */
  issue(name: string, kind: 'server' | 'client'): void {
    const at = (ending: string): string => join(this.folder, `${name}.${ending}`);
    this.openssl(
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${name}`],
      ...['-keyout', at('key'), '-out', at('csr')],
    );
    this.serial += 1;
    this.openssl(
      ...['x509', '-req', '-in', at('csr'), '-CA', this.certificate, '-CAkey', this.path('key'), '-days', '1'],
      ...['-set_serial', String(this.serial), '-extfile', this.path('cnf'), '-extensions', kind, '-out', at('pem')],
    );
  }

  private path(ending: string): string {
    return join(this.folder, `${this.name}.${ending}`);
  }

  private openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe' });
  }
}
