/**
 * The entry. Node strips the types of each file it loads, with a compiler of some 20 MB; from the second start on its results come from
 * a cache below build/, and the compiler is not loaded at all. Where that folder cannot be written, all of it works without.
 */
import { enableCompileCache } from "node:module";
import { resolve } from "node:path";

enableCompileCache(resolve(import.meta.dirname, "../build/compile-cache"));
const { main } = await import("./daemon.ts");
await main();
