import { type Static, type TSchema, Type } from "typebox";
import type { ErrorCode } from "../../domain/errors.ts";
import { problemKinds } from "../problems.ts";

/** Any text without a NUL byte, which no path, argument or name of the kernel can hold. */
export const Text = (options: { minLength?: number; maxLength: number; description?: string; examples?: string[] }) =>
  Type.String({ pattern: "^[^\\u0000]*$", ...options });

/** A name of a root or sandbox. */
export const Name = Type.String({
  pattern: "^[a-z0-9][a-z0-9-]{0,62}$",
  description: "Lowercase letters, digits and dashes; unique among its kind.",
  examples: ["web-1"],
});

/** An id or a name, as it stands in a path. */
export const Reference = Type.String({ pattern: "^[a-z0-9][a-z0-9-]{0,62}$", description: "An id or a name." });

export const Timestamp = Type.String({ format: "date-time", examples: ["2026-11-24T10:00:00.000Z"] });

/** The same schema with null allowed, as `type: [..., "null"]`: one type test for the serializer where anyOf would validate each branch. */
export const Nullable = <T extends TSchema>(schema: T) =>
  Type.Unsafe<Static<T> | null>({
    ...schema,
    type: [(schema as unknown as { type: string }).type, "null"],
    ...("enum" in schema ? { enum: [...(schema.enum as unknown[]), null] } : {}),
  });

/** One of the given texts. */
export const OneOf = <const T extends string>(values: readonly T[], options: Record<string, unknown> = {}) =>
  Type.Unsafe<T>({ type: "string", enum: [...values], ...options });

export const Labels = Type.Record(Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$" }), Text({ maxLength: 255 }), {
  additionalProperties: false,
  maxProperties: 64,
  description: "Free texts to find it by.",
  examples: [{ team: "x" }],
});

/** Schemas that the contract names once, under `components`; routes refer to them. */
export const sharedSchemas: TSchema[] = [];

/** Registers the schema under its name and gives a reference to it, which is typed as the schema itself. */
export const named = <T extends TSchema>(name: string, schema: T) => {
  sharedSchemas.push({ ...schema, $id: name } as unknown as TSchema);
  return Type.Unsafe<Static<T>>({ $ref: `${name}#` });
};

export const Problem = Type.Object(
  {
    type: Type.String({ description: "Where the code is documented." }),
    code: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    instance: Type.String(),
    retryable: Type.Boolean({ description: "Whether the same request may succeed later." }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.String({ description: "RFC 6901 pointer into the body, or a parameter's name." }),
          detail: Type.String(),
        }),
      ),
    ),
  },
  { $id: "Problem", additionalProperties: true, description: "A problem document (RFC 9457); some codes add members of their own." },
);

sharedSchemas.push(Problem);

const everywhere: readonly ErrorCode[] = [
  "unauthorized",
  "forbidden",
  "too-many-requests",
  "misdirected-request",
  "shutting-down",
  "launcher-unavailable",
  "storage-failed",
  "host-exhausted",
  "no-space",
  "internal",
];

/** The `response` entries that document these codes, and those that every route can answer. */
export const problemResponses = (...codes: readonly ErrorCode[]) => {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of [...codes, ...everywhere]) {
    const { status } = problemKinds[code];
    byStatus.set(status, [...new Set([...(byStatus.get(status) ?? []), code])]);
  }
  const responses: Record<number, TSchema> = {};
  for (const [status, found] of byStatus) {
    const content = { "application/problem+json": { schema: { $ref: "Problem#" }, example: exampleOf(found[0] as ErrorCode) } };
    responses[status] = {
      description: found.map((code) => `\`${code}\`: ${problemKinds[code].title}`).join("; "),
      content,
    } as unknown as TSchema;
  }
  return responses;
};

const exampleOf = (code: ErrorCode) => {
  const { title, status, retryable } = problemKinds[code];
  return { type: `/problems/${code}`, code, title, status, detail: title, instance: "/v1/...", retryable };
};
