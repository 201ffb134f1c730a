import { section } from "./check.ts";
import { resourcesChecks } from "./resources.checks.ts";

section("resources", 3_160_000_000, resourcesChecks);
