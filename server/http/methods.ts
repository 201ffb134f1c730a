import type { FastifyInstance } from "fastify";

/** Which methods a path answers: asked only when none was found, to tell 405 from 404. */
export const methodTable = (app: FastifyInstance): { allowed(path: string): string[] } => {
  const patterns = new Map<string, { matches: RegExp; methods: Set<string> }>();
  app.addHook("onRoute", ({ url, method }) => {
    const pattern = url.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll(/:[^/]+/g, "[^/]+");
    const found = patterns.get(url) ?? { matches: new RegExp(`^${pattern}$`), methods: new Set<string>() };
    for (const each of [method].flat()) found.methods.add(each);
    patterns.set(url, found);
  });
  return {
    allowed: (path) => [...patterns.values()].filter(({ matches }) => matches.test(path)).flatMap(({ methods }) => [...methods]),
  };
};
