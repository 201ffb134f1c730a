import type { RaceResult, Row } from "./race.ts";
import { median, percentile } from "./statistics.ts";

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
const figure = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : "-");
const valuesOf = (row: Row | undefined, take: string): number[] => row?.values.get(take) ?? [];

/** The table of a race; who could not take part is in it with the reason. */
export const raceTable = ({ columns, ratio, rows }: RaceResult): string[] => {
  const reference = median(
    valuesOf(
      rows.find(({ name }) => name === ratio.to),
      ratio.take,
    ),
  );
  const lines = rows.map((row) => {
    const blank = ["could not run", ...columns.map(() => "")];
    if (row.absent !== null) return line([row.name, ...blank, row.absent.replaceAll("|", "/").replaceAll("\n", " ")]);
    const shown = columns.map(({ take, share, digits }) => figure(percentile(valuesOf(row, take), share), digits));
    return line([row.name, ...shown, figure(median(valuesOf(row, ratio.take)) / reference, 2), row.what]);
  });
  const head = ["", ...columns.map(({ title }) => title), ratio.title, "what is timed"];
  return [line(head), line(head.map(() => "---")), ...lines];
};
