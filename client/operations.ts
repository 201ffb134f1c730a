import type { Operations, Problem } from "./api.ts";
import { ProblemError, UnsharedError } from "./errors.ts";
import type { CallOptions, Http } from "./http.ts";

type Report = Operations["getOperation"]["reply"];

/** Short, so that progress is seen. */
const waitSeconds = 1;

/** A long job of the daemon. It goes on without its client. */
export class Operation {
  report: Report;
  readonly #http: Http;

  constructor(http: Http, report: Report) {
    this.#http = http;
    this.report = report;
  }

  get id(): string {
    return this.report.id;
  }

  /** Its states as they are seen, until it has ended. */
  async *progress(options: CallOptions = {}): AsyncGenerator<Report, void> {
    yield this.report;
    while (this.report.state === "running") {
      const query = { wait: String(waitSeconds) };
      this.report = await this.#http.call("getOperation", { path: { operation: this.id }, query }, options);
      yield this.report;
    }
  }

  /** Waits for its success. @throws ProblemError of its failure; UnsharedError when it was cancelled */
  async done(options: CallOptions = {}): Promise<Report> {
    for await (const { state, problem } of this.progress(options)) {
      if (state === "failed") throw new ProblemError(problem as Problem);
      if (state === "cancelled") throw new UnsharedError(`the operation ${this.id} was cancelled`);
    }
    return this.report;
  }

  async cancel(options?: CallOptions): Promise<Report> {
    this.report = await this.#http.call("cancelOperation", { path: { operation: this.id } }, options);
    return this.report;
  }
}

/** All items of a list that comes in pages. */
export async function* pages<T>(
  page: (cursor: string | undefined) => Promise<{ items: T[]; nextCursor: string | null }>,
): AsyncGenerator<T, void> {
  let cursor: string | undefined;
  do {
    const { items, nextCursor } = await page(cursor);
    yield* items;
    cursor = nextCursor ?? undefined;
  } while (cursor !== undefined);
}
