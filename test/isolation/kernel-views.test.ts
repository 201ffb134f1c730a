import { section } from "./check.ts";
import { kernelViewsChecks } from "./kernel-views.checks.ts";

section("kernel views", 3_140_000_000, kernelViewsChecks);
