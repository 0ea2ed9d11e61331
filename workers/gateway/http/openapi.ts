export function openApiText(): string {
  return '{}';
}
