import { ConnectionError, GapError, ProblemError } from "./errors.ts";
import type { Http } from "./http.ts";
import { linesOf } from "./lines.ts";
import { isRetried, pause, pauseAfter } from "./retries.ts";

export type Position = number | string;

export interface StreamOptions {
  /** Ends the stream: its iterator throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Go on with what comes later. True by default. */
  follow?: boolean | undefined;
  /** What is held no more: `error` throws a GapError, `skip` goes on behind it. `error` by default. */
  gaps?: "error" | "skip" | undefined;
}

/** What the records of a stream have in common. */
interface Line {
  gap?: { first: Position | null } | undefined;
}

/** One stream of numbered records, as NDJSON. */
export interface Source<T extends Line> {
  what: string;
  path: string;
  query: Record<string, unknown>;
  after: Position | undefined;
  /** The number to resume after. */
  positionOf(record: T): Position | undefined;
  /** The record before `first`, to begin with that; undefined where the stream begins by itself with what is held. */
  before(first: Position): Position | undefined;
  /** Whether it is the last one there will be. */
  isLast(record: T): boolean;
  /** Asked when the stream ended without a last record: whether nothing is written any more; `gone`: nor is anything held. */
  isOver(): Promise<boolean | "gone">;
}

/** Codes that say that what comes after the position is held no more; their documents have the member `first`. */
const dropped: ReadonlySet<string> = new Set(["output-dropped", "logs-dropped", "events-dropped", "audit-dropped"]);

/**
 * The records in order, each once: when the connection breaks, or the daemon is started anew, it goes on behind the last one.
 * @throws GapError, ProblemError, ConnectionError when the daemon does not come back in time, the signal's reason
 */
export async function* records<T extends Line>(http: Http, source: Source<T>, options: StreamOptions = {}): AsyncGenerator<T, void> {
  const { signal, gaps = "error" } = options;
  let follow = options.follow ?? true;
  let after = source.after;
  let lostAt: number | null = null;
  for (let failures = 0; ; ) {
    try {
      const query = { ...source.query, follow, after };
      const response = await http.open(source.path, { query, signal, headers: { accept: "application/x-ndjson" }, repeatable: false });
      for await (const line of linesOf(response)) {
        const record = JSON.parse(line) as T;
        [failures, lostAt] = [0, null];
        if (record.gap !== undefined) {
          after = skipped(record.gap.first);
          continue;
        }
        after = source.positionOf(record) ?? after;
        yield record;
        if (source.isLast(record)) return;
      }
      if (!follow) return;
      const over = await source.isOver();
      if (over === "gone") return;
      // What was written between the loss of the connection and the end is still to be read.
      follow = !over;
      if (over) continue;
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      if (error instanceof GapError) throw error;
      if (error instanceof ProblemError && dropped.has(error.code)) {
        after = skipped((error.problem["first"] as Position | null | undefined) ?? null);
        continue;
      }
      if (error instanceof ProblemError && !isRetried(error.status)) throw error;
      lostAt ??= performance.now();
      if (performance.now() - lostAt > http.retries.reconnectSeconds * 1000)
        throw error instanceof ConnectionError
          ? error
          : new ConnectionError(`the stream of ${source.what} broke: ${(error as Error).message}`, { cause: error });
    }
    failures += 1;
    await pause(pauseAfter(failures, null, http.retries), signal);
  }

  function skipped(first: Position | null): Position | undefined {
    if (gaps === "error" || first === null) throw new GapError(source.what, first);
    return source.before(first);
  }
}
