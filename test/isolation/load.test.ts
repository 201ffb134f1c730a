import { section } from "./check.ts";
import { loadChecks } from "./load.checks.ts";

section("load", 3_180_000_000, loadChecks);
