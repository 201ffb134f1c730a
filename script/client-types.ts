/**
 * The text of client/api.ts: types and paths of the contract. It knows the words of JSON Schema that the contract uses, and refuses any
 * other. (openapi-typescript needs a TypeScript before 7.)
 */

interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  required?: string[];
  items?: Schema;
  default?: unknown;
  description?: string;
}
interface Operation {
  operationId: string;
  summary: string;
  parameters?: { name: string; in: string; required?: boolean; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { description?: string; content?: Record<string, { schema: Schema }> }>;
}

const known = new Set(
  "$ref type enum const anyOf properties patternProperties additionalProperties required items default description examples format pattern".split(
    " ",
  ),
);
const bounds = /^(min|max|exclusiveM)/;

const nameOf = (key: string): string => (/^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key));
const comment = (text: string | undefined, indent: string): string =>
  text === undefined ? "" : `${indent}/** ${text.replaceAll("*/", "* /").replaceAll(/\s*\n\s*/g, " ")} */\n`;

const typeOf = (schema: Schema, indent: string): string => {
  const strange = Object.keys(schema).find((word) => !known.has(word) && !bounds.test(word));
  if (strange !== undefined) throw new Error(`the word "${strange}" of a schema is not known to script/client-types.ts`);
  if (schema.$ref !== undefined) return schema.$ref.split("/").at(-1) as string;
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf !== undefined) return schema.anyOf.map((each) => typeOf(each, indent)).join(" | ");
  if (Array.isArray(schema.type)) return schema.type.map((type) => typeOf({ ...schema, type }, indent)).join(" | ");
  switch (schema.type) {
    case "string":
    case "boolean":
    case "null":
      return schema.type;
    case "integer":
    case "number":
      return "number";
    case "array": {
      const items = schema.items === undefined ? "unknown" : typeOf(schema.items, indent);
      return /[ |]/.test(items) ? `(${items})[]` : `${items}[]`;
    }
    case "object":
      return objectOf(schema, indent);
    default:
      return "unknown";
  }
};

const objectOf = (schema: Schema, indent: string): string => {
  const { properties = {}, required = [], additionalProperties: more } = schema;
  const inner = `${indent}  `;
  const lines = Object.entries(properties).map(([key, each]) => {
    const isOptional = !required.includes(key) || each.default !== undefined;
    return `${comment(each.description, inner)}${inner}${nameOf(key)}${isOptional ? "?" : ""}: ${typeOf(each, inner)}${isOptional ? " | undefined" : ""};\n`;
  });
  const value = Object.values(schema.patternProperties ?? {})[0] ?? (typeof more === "object" ? more : undefined);
  if (lines.length === 0)
    return value !== undefined ? `Record<string, ${typeOf(value, indent)}>` : `Record<string, ${more === false ? "never" : "unknown"}>`;
  if (more === true) lines.push(`${inner}[member: string]: unknown;\n`);
  return `{\n${lines.join("")}${indent}}`;
};

const parametersOf = ({ parameters = [] }: Operation, place: string): string => {
  const found = parameters.filter((each) => each.in === place);
  if (found.length === 0) return "undefined";
  const properties = Object.fromEntries(found.map(({ name, schema }) => [name, schema]));
  const required = found.filter((each) => each.required === true).map(({ name }) => name);
  return objectOf({ properties, required, additionalProperties: false }, "    ");
};

const bodyOf = ({ requestBody }: Operation): string => {
  const schema = requestBody?.content["application/json"]?.schema;
  return schema === undefined ? "undefined" : typeOf(schema, "    ");
};

/** What a call resolves to: the JSON of its successes; undefined where they have none. */
const replyOf = ({ responses }: Operation): string => {
  const schemas = Object.entries(responses)
    .filter(([status]) => status < "300")
    .map(([, { content }]) => content?.["application/json"]?.schema);
  const types = new Set(schemas.map((schema) => (schema === undefined ? "undefined" : typeOf(schema, "    "))));
  return [...types].join(" | ");
};

/** What is read of an OpenAPI document. */
interface Contract {
  paths?: unknown;
  components?: { schemas?: unknown };
}

export const clientTypes = (contract: Contract): string => {
  const schemas = contract.components?.schemas as Record<string, Schema>;
  const paths = contract.paths as Record<string, Record<string, Operation>>;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })),
  );
  const codes = new Set(
    operations.flatMap(({ responses }) =>
      Object.entries(responses)
        .filter(([status]) => status >= "400")
        .flatMap(([, { description = "" }]) => [...description.matchAll(/`([a-z-]+)`/g)].map(([, code]) => code as string)),
    ),
  );

  return [
    "// Generated by script/client-types.ts from openapi/openapi.json. Do not edit.\n",
    ...Object.entries(schemas).map(([name, schema]) => `${comment(schema.description, "")}export type ${name} = ${typeOf(schema, "")};\n`),
    `/** Every code that a problem of the daemon may have. */\nexport type ProblemCode =\n${[...codes]
      .sort()
      .map((code) => `  | "${code}"`)
      .join("\n")};\n`,
    "/** What each operation takes and gives. */\nexport interface Operations {\n" +
      operations
        .map(
          (each) =>
            `${comment(`${each.summary}: ${each.method} ${each.path}`, "  ")}  ${each.operationId}: {\n    path: ${parametersOf(each, "path")};\n    query: ${parametersOf(each, "query")};\n    body: ${bodyOf(each)};\n    reply: ${replyOf(each)};\n  };\n`,
        )
        .join("") +
      "}\n",
    "/** Method and path of each operation. */\nexport const operations: Readonly<Record<keyof Operations, readonly [method: string, path: string]>> = {\n" +
      operations.map(({ operationId, method, path }) => `  ${operationId}: ["${method}", "${path}"],\n`).join("") +
      "};\n",
  ].join("\n");
};
