import { section } from "./check.ts";
import { networkChecks } from "./network.checks.ts";

section("network", 3_170_000_000, networkChecks);
