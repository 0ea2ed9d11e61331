/**
 * One page of several processes' metrics in Prometheus's text form. Each page has its own `process` label on every series, so
 * nothing is added up; a metric's HELP and TYPE may be there once only, and its series must follow them.
 */
export function mergeMetrics(pages: readonly string[]): string {
  const metrics = new Map<string, { readonly head: string[]; readonly series: string[] }>();
  for (const page of pages) {
    let current: { readonly head: string[]; readonly series: string[] } | undefined;
    for (const line of page.split('\n')) {
      if (line === '') continue;
      if (!line.startsWith('#')) current?.series.push(line);
      else {
        const [, kind, name] = line.split(' ', 3) as [string, string, string];
        current = metrics.get(name);
        if (!current) metrics.set(name, (current = { head: [], series: [] }));
        if (!current.head.some((known) => known.startsWith(`# ${kind} `))) current.head.push(line);
      }
    }
  }
  return [...metrics.values()].map(({ head, series }) => [...head, ...series].join('\n')).join('\n\n') + '\n';
}
