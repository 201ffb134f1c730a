/** The entry: `node server/main.ts`. */
import { main } from "./daemon.ts";

await main();
