import type { ErrorCode } from "./errors.ts";
import type { Instance } from "./ports.ts";

/** What is counted for the operator. Names and units are those of `GET /metrics`. */
export interface Measurements {
  launched(phases: Instance["phases"]): void;
  launchFailed(code: ErrorCode, layer: string | null): void;
  /** @param route the pattern, not the path, so that the number of series is bounded */
  answered(method: string, route: string, status: number, milliseconds: number): void;
  /** The text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/). */
  text(): Promise<{ contentType: string; body: string }>;
}
