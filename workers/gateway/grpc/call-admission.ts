import type { Metadata, ServerInterceptor } from '@grpc/grpc-js';
import { ServerInterceptingCall } from '@grpc/grpc-js';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { Admission } from '../edge/admission';
import type { Caller } from '../edge/callers';
import { ANYBODY } from '../edge/callers';
import type { RequestHeaders } from '../inference/inference-context';
import { problemOf } from '../inference/problem';
import { statusOf } from './grpc-status';

/** Open to everybody, as over HTTP: what tells nothing of models and callers. */
const OPEN = /^\/(grpc\.health\.v1\.Health\/|inference\.GRPCInferenceService\/Server)/;

/** Who is known, by the metadata of their call: what the interceptor found out, for the method. */
const callers = new WeakMap<Metadata, Caller>();

/** Whoever is not known is turned away when the metadata came, before a message is read. */
export function admissionInterceptor(admission: Admission): ServerInterceptor {
  return ({ path }, call) => {
    if (admission.isOpen || OPEN.test(path)) return new ServerInterceptingCall(call);
    const intercepted: ServerInterceptingCall = new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, go) => {
            identify(admission, metadata).then(
              (caller) => {
                callers.set(metadata, caller);
                go(metadata);
              },
              (error: unknown) => intercepted.sendStatus(statusOf(problemOf(error))),
            );
          },
        }),
    });
    return intercepted;
  };
}

/** Whoever sent the call, who may ask this model; anybody, where nobody is asked. Throws as `Admission.permit` does. */
export function permit(
  admission: Admission | undefined,
  { metadata }: { readonly metadata: Metadata },
  model: string | null,
): Caller {
  if (admission === undefined || admission.isOpen) return ANYBODY;
  const caller = callers.get(metadata);
  // It came in before the file named callers.
  if (!caller) throw new SlipwayError('UNAUTHENTICATED', 'this gateway asks for an API key or a token now');
  return model === null ? caller : admission.permit(caller, model);
}

/** Metadata has names in lower case, as the service takes them. Binary values are no use to it. */
export function headersOf(metadata: Metadata): RequestHeaders {
  const headers = metadata.getMap();
  for (const name in headers) if (typeof headers[name] !== 'string') delete headers[name];
  return headers as RequestHeaders;
}

async function identify(admission: Admission, metadata: Metadata): Promise<Caller> {
  return admission.admit(headersOf(metadata), null);
}
