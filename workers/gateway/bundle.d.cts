/** See bundle.cjs. */
export function bundle(entry: string): Promise<{ readonly outputFiles: readonly { readonly contents: Uint8Array }[] }>;
