/** Everything that the workflow bundle exports: one function for each workflow type. */
export { deployment } from './deployment';
export { lifecycle } from './lifecycle';
export { monitor } from './monitor';
