import { contract, type Schema } from "./contract.ts";

/** One wrong value: what it is, at which pointer it is put, and the pointer that the refusal has to name. */
export interface BadValue {
  what: string;
  at: string;
  value: unknown;
  pointer: string;
}

/** A field of a body: its pointer and schema. */
export interface Field {
  pointer: string;
  schema: Schema;
}

const resolve = (schema: Schema): Schema =>
  schema.$ref === undefined ? schema : (contract.components.schemas[schema.$ref.split("/").at(-1) as string] as Schema);

/** The schema of a map's entries. The contract shows it as additionalProperties, without the pattern of the keys. */
const entriesOf = ({ additionalProperties: entries }: Schema): Schema | null =>
  typeof entries === "object" && entries !== null ? (entries as Schema) : null;

/**
 * All fields of a schema: the body itself as "", members by name, entries of a map as `k`, items as index 0. Where an item has
 * several forms, the contract's example holds one of each in their order, so the index is that of the form.
 */
export const fieldsOf = (given: Schema, pointer = ""): Field[] => {
  const schema = resolve(given);
  const inner = [
    ...Object.entries(schema.properties ?? {}).map(([name, each]) => fieldsOf(each, `${pointer}/${name}`)),
    ...[entriesOf(schema)].flatMap((each) => (each ? [fieldsOf(each, `${pointer}/k`)] : [])),
    ...(schema.items ? [fieldsOf(schema.items, `${pointer}/0`)] : []),
    ...(schema.anyOf ?? []).map((each, index) => fieldsOf(each, pointer.replace(/0$/, `${index}`)).slice(1)),
  ];
  return [{ pointer, schema }, ...inner.flat()];
};

const samples: [string, unknown][] = [
  ["null", null],
  ["a boolean", true],
  ["a number", 7],
  ["a fraction", 7.5],
  ["a text", "x"],
  ["a list", []],
  ["an object", {}],
];

const isOfType = (value: unknown, type: string): boolean => {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === type;
};

/** Texts in which anything but NUL is right: arguments, values of the environment and of labels, what a command reads. */
const isFreeText = (pointer: string): boolean => /^(\/runs\/0)?\/(stdin$|(command|env|labels|selector)\/)/.test(pointer);

/** What files and stdin hold, as text or base64: as much as a body may have. */
const isContent = (pointer: string): boolean => /\/(stdin|base64)$/.test(pointer);

/** Written by hand into the JSON: a number beyond what a double holds. */
export const hugeNumber = "@1e400@";

const textFaults = (pointer: string, schema: Schema): [string, unknown][] => [
  ["a NUL", "a\0b"],
  ...(isContent(pointer) ? [] : ([["1 MB of text", "x".repeat(1_000_000)]] as [string, unknown][])),
  ...(isFreeText(pointer) ? [] : ([["two dots", ".."]] as [string, unknown][])),
  ...(schema.enum && !schema.enum.includes("") ? ([["no text", ""]] as [string, unknown][]) : []),
];

const numberFaults = (schema: Schema, isWhole: boolean): [string, unknown][] => [
  ["a negative number", -1],
  ["less than the least", (schema.minimum ?? 0) - (isWhole ? 1 : 0.001)],
  ["more than the most", (schema.maximum ?? Number.MAX_SAFE_INTEGER) + (isWhole ? 1 : 0.001)],
  ["a huge number", 1e300],
  ["an infinite number", hugeNumber],
];

const objectFaults = (pointer: string, schema: Schema): BadValue[] => {
  const isMap = entriesOf(schema) !== null;
  const keys = isMap ? ["", "a\0b", "=", "x".repeat(300)] : ["surprise", "constructor", "toString", "", "a/b~c"];
  const escaped = (key: string) => key.replaceAll("~", "~0").replaceAll("/", "~1");
  const faults = keys.map((key) => ({
    what: `the key ${JSON.stringify(key).slice(0, 20)}`,
    at: `${pointer}/${escaped(key)}`,
    value: isMap ? "v" : 1,
    pointer: `${pointer}/${escaped(key).slice(0, 256)}`,
  }));
  if (!isMap || schema.maxProperties === undefined) return faults;
  const many = Object.fromEntries(Array.from({ length: schema.maxProperties + 1 }, (_, index) => [`k${index}`, "v"]));
  return [...faults, { what: "too many entries", at: pointer, value: many, pointer }];
};

/** Wrong values for a field, made from what its schema says is right. */
export const badValuesOf = ({ pointer, schema }: Field): BadValue[] => {
  const types = schema.anyOf ? schema.anyOf.map((each) => each.type as string) : [schema.type ?? []].flat();
  const wrong = samples.filter(([, value]) => !types.some((type) => isOfType(value, type)));
  if (types.includes("string")) wrong.push(...textFaults(pointer, schema));
  if (types.includes("integer") || types.includes("number")) wrong.push(...numberFaults(schema, types.includes("integer")));
  if (schema.minItems !== undefined && schema.minItems > 0) wrong.push(["an empty list", []]);
  if (schema.maxItems !== undefined) wrong.push(["too long a list", Array.from({ length: schema.maxItems + 1 }, () => "x")]);
  const values = wrong.map(([what, value]) => ({ what, at: pointer, value, pointer }));
  return types.includes("object") && !schema.anyOf ? [...values, ...objectFaults(pointer, schema)] : values;
};

/** The body with the value put at the pointer, as JSON text. */
export const bodyWith = (body: unknown, { at, value }: BadValue): string => {
  const holder = { "": structuredClone(body) } as Record<string, unknown>;
  const keys = at.split("/").map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  let target = holder;
  for (const [index, key] of keys.slice(0, -1).entries()) {
    if (typeof target[key] !== "object" || target[key] === null) target[key] = keys[index + 1] === "0" ? [] : {};
    target = target[key] as Record<string, unknown>;
  }
  target[keys.at(-1) as string] = value;
  return JSON.stringify(holder[""]).replaceAll(`"${hugeNumber}"`, hugeNumber.slice(1, -1));
};
