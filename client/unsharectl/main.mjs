import { mkdirSync, statSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { join } from "node:path";

/**
 * JavaScript, since the compiler for TypeScript would be loaded for this file alone.
 *
 * Half of the time of a short command would be the compiler's: what it made is kept in this user's own folder. One that belongs to somebody
 * else, as after sudo with the caller's HOME, is not trusted with code.
 */
const keepCompiled = () => {
  const { XDG_CACHE_HOME, HOME } = process.env;
  const caches = XDG_CACHE_HOME || (HOME && join(HOME, ".cache"));
  if (!caches) return;
  const folder = join(caches, "unsharectl");
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (statSync(folder).uid === process.getuid?.()) enableCompileCache(folder);
  } catch {
    // Then it is compiled each time.
  }
};

keepCompiled();
await import("./cli.ts");
