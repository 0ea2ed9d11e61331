import type { Duplex } from 'node:stream';
import { STATUS_CODES } from 'node:http';
import { ERRORS } from '../../../workflows/domain/errors';
import { encodeProblem } from './responses';

const TIMED_OUT = 408;
const HEADERS_TOO_LARGE = 431;

/** Answers what the HTTP parser or its clock refused, where no request exists yet, and closes the connection. */
export function refuseRaw(error: NodeJS.ErrnoException, socket: Duplex): void {
  // Neither a connection that broke nor a handshake that failed can be answered.
  if (!socket.writable || !/^(HPE|ERR_HTTP)_/.test(error.code ?? '')) return void socket.destroy();
  const status =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? TIMED_OUT
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? HEADERS_TOO_LARGE
        : 400;
  const code = status === HEADERS_TOO_LARGE ? 'REQUEST_TOO_LARGE' : 'REQUEST_INVALID';
  const message =
    status === TIMED_OUT
      ? 'the request did not come whole in time'
      : status === HEADERS_TOO_LARGE
        ? 'the headers are too long'
        : 'this is no HTTP request';
  const { http, advice } = ERRORS[code];
  const body = encodeProblem({ code, message, advice, status: http, retryAfterSeconds: null });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
