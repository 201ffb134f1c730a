/** Between what a person writes into a form and the body of a request. A field that is left empty is not sent: the daemon's own default holds. */
import { kindOf, type Schema } from "./schema.ts";

/** By the path in the body, as `limits.memoryBytes`. */
export type Values = Readonly<Record<string, string>>;

/** Something that cannot be sent as it was written; the path is that of a JSON pointer, as the daemon tells its own. */
export class UnreadableField extends Error {
  readonly pointer: string;

  constructor(path: string, detail: string) {
    super(detail);
    this.pointer = pointerOf(path);
  }
}

export const pointerOf = (path: string): string => `/${path.replaceAll(".", "/")}`;

const factors: Readonly<Record<string, number>> = { "": 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** Bytes of texts such as `256 MiB`, `1.5g` or `4096`; null where it is none. */
export const parseBytes = (text: string): number | null => {
  const match = /^(\d+(?:\.\d+)?)\s*(b|[kmgt]?)(?:i?b)?$/i.exec(text.trim());
  if (match === null) return null;
  return Math.round(Number(match[1]) * (factors[(match[2] ?? "").toLowerCase()] ?? 1));
};

const linesOf = (text: string): string[] => text.split("\n").filter((line) => line !== "");

const pairsOf = (path: string, text: string): Record<string, string> =>
  Object.fromEntries(
    linesOf(text).map((line) => {
      const at = line.indexOf("=");
      if (at < 1) throw new UnreadableField(path, `"${line}" is not NAME=value`);
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );

const numberOf = (path: string, text: string): number => {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new UnreadableField(path, `"${text}" is no number`);
  return value;
};

const bytesOf = (path: string, text: string): number => {
  const value = parseBytes(text);
  if (value === null) throw new UnreadableField(path, `"${text}" is no size, such as 256 MiB`);
  return value;
};

/** What one field says; undefined where it says nothing. */
const fieldValue = (name: string, schema: Schema, path: string, values: Values): unknown => {
  const kind = kindOf(name, schema);
  if (kind === "group") return bodyOf(schema, values, path);
  const text = values[path] ?? "";
  if (text.trim() === "") return undefined;
  switch (kind) {
    case "number":
      return numberOf(path, text);
    case "bytes":
      return bytesOf(path, text);
    case "flag":
      return text === "true";
    case "lines":
    case "choices":
      return linesOf(text);
    case "pairs":
      return pairsOf(path, text);
    default:
      return text;
  }
};

/** The body that the values make. @throws UnreadableField */
export const bodyOf = (schema: Schema, values: Values, prefix = ""): Record<string, unknown> | undefined => {
  const entries = Object.entries(schema.properties ?? {})
    .map(([name, each]) => [name, fieldValue(name, each, prefix === "" ? name : `${prefix}.${name}`, values)] as const)
    .filter(([, value]) => value !== undefined);
  return entries.length === 0 && prefix !== "" ? undefined : Object.fromEntries(entries);
};
