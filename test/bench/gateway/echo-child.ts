import { createServer } from 'node:http';

/**
 * The floor that every figure is a ratio to: a bare node:http POST that reads a body, parses it and sends it back. Of the binary
 * form it parses the JSON part and lays a typed array over the rest. echo-child <port>
 */
const server = createServer((message, response) => {
  const chunks: Buffer[] = [];
  message.on('data', (chunk: Buffer) => chunks.push(chunk));
  message.on('end', () => {
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
    const jsonBytes = Number(message.headers['inference-header-content-length'] ?? body.length);
    const text = JSON.stringify(JSON.parse(body.toString('utf8', 0, jsonBytes)));
    if (jsonBytes === body.length) {
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
      return response.end(text);
    }
    const values = new Float32Array(body.buffer.slice(body.byteOffset + jsonBytes, body.byteOffset + body.length));
    const head = Buffer.from(text);
    response.writeHead(200, {
      'Content-Type': 'application/octet-stream',
      'Inference-Header-Content-Length': head.length,
      'Content-Length': head.length + values.byteLength,
    });
    response.end(Buffer.concat([head, Buffer.from(values.buffer)]));
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1');
