import { type Profiler, Session } from "node:inspector/promises";

/** By character: ranges of equal counts are joined, so their bounds say nothing. An outer range comes before those within. */
const ranOf = (ranges: readonly Profiler.CoverageRange[]): Uint8Array => {
  const ran = new Uint8Array(ranges.reduce((end, { endOffset }) => Math.max(end, endOffset), 0));
  for (const { startOffset, endOffset, count } of ranges) ran.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  return ran;
};

/** Which parts of some source files ran, as V8 counts them block by block (https://chromedevtools.github.io/devtools-protocol/v8/Profiler/). */
export class Coverage {
  readonly #session = new Session();
  readonly #files: RegExp;
  readonly #seen = new Map<string, Uint8Array>();

  /** `files`: the end of each file's address. */
  constructor(files: RegExp) {
    this.#files = files;
  }

  async start(): Promise<void> {
    this.#session.connect();
    await this.#session.post("Profiler.enable");
    await this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
    await this.#session.post("Profiler.takePreciseCoverage");
  }

  async stop(): Promise<void> {
    await this.#session.post("Profiler.stopPreciseCoverage");
    this.#session.disconnect();
  }

  /** How many characters of the files ran since this was last asked that had not before; `keep`: and count as seen from now on. */
  async fresh(keep: boolean): Promise<number> {
    const { result } = await this.#session.post("Profiler.takePreciseCoverage");
    let fresh = 0;
    for (const { scriptId, functions } of result.filter(({ url }) => this.#files.test(url))) {
      const ran = ranOf(functions.flatMap(({ ranges }) => ranges));
      const seen = this.#seen.get(scriptId) ?? new Uint8Array(ran.length);
      for (let place = 0; place < ran.length; place++) if (ran[place] === 1 && seen[place] !== 1) fresh += 1;
      if (keep)
        this.#seen.set(
          scriptId,
          ran.map((each, place) => each | (seen[place] ?? 0)),
        );
    }
    return fresh;
  }
}
