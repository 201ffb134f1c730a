import { escapedLine } from "./escapes.ts";

const columnsOf = (stream: NodeJS.WriteStream): number => (stream.isTTY ? (stream.columns ?? 80) : Number.POSITIVE_INFINITY);

/** What is written for a person, or for a program with --json. */
export class Output {
  readonly json: boolean;
  readonly color: boolean;
  readonly columns: number;

  constructor(options: { json: boolean; color: boolean }) {
    this.json = options.json;
    this.color = options.color && process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined && process.env["TERM"] !== "dumb";
    this.columns = columnsOf(process.stdout);
  }

  line(text = ""): void {
    process.stdout.write(`${text}\n`);
  }

  /** The value itself as one line of JSON, or what `otherwise` says of it. */
  value(value: unknown, otherwise: () => void): void {
    if (this.json) this.line(JSON.stringify(value));
    else otherwise();
  }

  paint(text: string, color: "red" | "green" | "yellow" | "dim" | "bold"): string {
    const code = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 }[color];
    return this.color ? `\u001b[${code}m${text}\u001b[0m` : text;
  }

  /** Columns under their headings, as wide as what is in them; the last one is cut where the terminal ends. */
  table(headings: readonly string[], rows: readonly (readonly string[])[]): void {
    const shown = rows.map((row) => row.map(escapedLine));
    const widths = headings.map((heading, column) => Math.max(heading.length, ...shown.map((row) => (row[column] ?? "").length)));
    const lineOf = (cells: readonly string[]) =>
      this.#cut(
        cells
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd(),
      );
    this.line(this.paint(lineOf(headings), "bold"));
    for (const row of shown) this.line(lineOf(row));
  }

  /** Names and values under each other. */
  facts(pairs: readonly (readonly [name: string, value: string | null])[]): void {
    const known = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== null);
    const width = Math.max(...known.map(([name]) => name.length));
    for (const [name, value] of known) this.line(`${this.paint(name.padEnd(width), "dim")}  ${escapedLine(value)}`);
  }

  #cut(text: string): string {
    return text.length <= this.columns ? text : `${text.slice(0, this.columns - 1)}\u2026`;
  }
}

/** A line on the terminal that is written over again; nothing where there is none. */
export class ProgressLine {
  readonly #stream = process.stderr;
  #isShown = false;

  show(text: string): void {
    if (!this.#stream.isTTY) return;
    this.#stream.write(`\r\u001b[K${escapedLine(text).slice(0, (this.#stream.columns ?? 80) - 1)}`);
    this.#isShown = true;
  }

  clear(): void {
    if (this.#isShown) this.#stream.write("\r\u001b[K");
    this.#isShown = false;
  }
}

/** A bar of so many characters, filled to that part. */
export const bar = (part: number, width = 24): string => {
  const filled = Math.round(Math.min(1, Math.max(0, part)) * width);
  return `[${"#".repeat(filled)}${".".repeat(width - filled)}]`;
};
