/** Runs one target: node test/fuzz/main.ts TARGET MILLISECONDS SEED. By itself, since V8 takes its time to count in a large heap. */
import { fuzz } from "./fuzzer.ts";
import { withTarget } from "./targets.ts";

const [name = "", milliseconds, seed] = process.argv.slice(2);
const outcome = await withTarget(name, (target) => fuzz(target, Number(milliseconds), Number(seed)));
process.stdout.write(JSON.stringify(outcome));
