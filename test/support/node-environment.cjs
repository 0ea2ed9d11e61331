'use strict';
const { TestEnvironment } = require('jest-environment-node');

/**
 * Jest runs tests in a context of their own, whose typed arrays are not those of native addons: ONNX Runtime's tensors would
 * be refused by its own checks. So tests share the typed arrays of the process.
 */
const SHARED = [
  'ArrayBuffer',
  'SharedArrayBuffer',
  'Uint8Array',
  'Int8Array',
  'Uint16Array',
  'Int16Array',
  'Uint32Array',
  'Int32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
];

module.exports = class NodeEnvironment extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    for (const name of SHARED) this.global[name] = globalThis[name];
  }
};
