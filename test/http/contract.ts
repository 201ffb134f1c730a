import { readFileSync } from "node:fs";

/** A JSON Schema of the contract, as far as the tests read it. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  [word: string]: unknown;
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required?: boolean;
  schema: Schema;
}

interface Media {
  schema: Schema;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}

export interface Operation {
  method: string;
  path: string;
  operationId?: string;
  summary?: string;
  tags?: string[];
  security?: unknown[];
  parameters: Parameter[];
  body: Media | null;
  responses: Record<string, { description?: string; content?: Record<string, Media> }>;
}

type Raw = Omit<Operation, "method" | "path" | "body"> & { requestBody?: { content: Record<string, Media> } };

/** The committed contract; `openapi.test.ts` holds it against what the daemon serves. */
export const contract = JSON.parse(readFileSync(new URL("../../openapi/openapi.json", import.meta.url), "utf8")) as {
  openapi: string;
  paths: Record<string, Record<string, Raw>>;
  components: { schemas: Record<string, Schema> };
};

/** Every operation of the contract: a route that is added is covered by the tests that go through this list. */
export const operations: Operation[] = Object.entries(contract.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, raw]) => ({
    ...raw,
    method: method.toUpperCase(),
    path,
    parameters: raw.parameters ?? [],
    body: raw.requestBody?.content["application/json"] ?? null,
  })),
);

/** Answered by events for as long as there may be some, or by leaving HTTP. */
export const isEndless = ({ responses }: Operation): boolean =>
  "101" in responses || Object.keys(responses["200"]?.content ?? {}).join() === "text/event-stream";

export const nameOf = ({ method, path }: Operation): string => `${method} ${path}`;

/** The path with each parameter replaced: by the value, or by a name that nothing has. */
export const pathOf = ({ path }: Operation, value = "nobody-has-this-name"): string => path.replaceAll(/\{[^}]+\}/g, value);

/** An example of the body: the contract's own. */
export const exampleOf = ({ body }: Operation): unknown => {
  if (body === null) return undefined;
  const examples = Object.values(body.examples ?? {}).map((each) => each.value);
  return structuredClone(body.example ?? examples[0] ?? (body.schema["examples"] as unknown[] | undefined)?.[0] ?? {});
};

/** The codes that openapi/problems.md documents. */
export const documentedCodes: string[] = readFileSync(new URL("../../openapi/problems.md", import.meta.url), "utf8")
  .split(/^## /m)
  .slice(1)
  .map((section) => section.split("\n", 1)[0]?.replaceAll("`", "").trim() ?? "");
