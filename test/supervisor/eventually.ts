/** Looks until there is an answer other than undefined, null or false. @throws after `deadlineMs`, naming what was awaited */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  deadlineMs = 20_000,
): Promise<Exclude<T, undefined | null | false>> {
  const until = performance.now() + deadlineMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== null && seen !== false) return seen as Exclude<T, undefined | null | false>;
    if (performance.now() > until) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((next) => setTimeout(next, 4));
  }
}
