import { Ajv, type Options, type ValidateFunction } from "ajv";
import addFormats from "ajv-formats";
import type { FastifySchemaCompiler } from "fastify";
import type { TSchema } from "typebox";
import { sharedSchemas } from "./schemas/shared.ts";

const shared: Options = {
  // Unknown fields are refused by the schemas, never taken away silently.
  removeAdditional: false,
  useDefaults: true,
  // A test holds the whole contract against its meta-schema; compiling that takes a tenth of the start.
  meta: false,
  validateSchema: false,
  strict: false,
  // Resolved by reference from the answers' schemas.
  schemas: sharedSchemas as object[],
};

const make = (options: Options): Ajv => {
  const ajv = new Ajv({ ...shared, ...options });
  // The module's default export is the function itself under CommonJS interop.
  (addFormats as unknown as (ajv: Ajv) => void)(ajv);
  return ajv;
};

/** Beyond this many bytes of JSON only the first fault is told: collecting all could take long. */
const thoroughBytes = 65_536;

/**
 * Bodies are taken as they are typed. What stands in a query or path is text by nature, so there "5" counts as a number.
 * The first pass stops at the first fault; only small input that fails is gone through again for all of its faults.
 */
export const validators = (): FastifySchemaCompiler<TSchema> => {
  const kindOf = (coerceTypes: false | "array") => {
    let all: Ajv | null = null;
    return { first: make({ coerceTypes }), all: () => (all ??= make({ coerceTypes, allErrors: true })) };
  };
  const [body, text] = [kindOf(false), kindOf("array")];
  const made = new Map<string, ReturnType<FastifySchemaCompiler<TSchema>>>();
  return ({ schema, httpPart }) => {
    const kind = httpPart === "body" ? body : text;
    // Those of equal schemas are one, compiled when it is first used.
    const name = `${kind === body} ${JSON.stringify(schema)}`;
    const known = made.get(name);
    if (known !== undefined) return known;
    let validate: ValidateFunction | null = null;
    let thorough: ValidateFunction | null = null;
    const check = (data: unknown) => {
      validate ??= kind.first.compile(schema);
      if (validate(data)) return { value: data };
      let { errors } = validate;
      if (JSON.stringify(data ?? null).length <= thoroughBytes) {
        thorough ??= kind.all().compile(schema);
        thorough(data);
        errors = thorough.errors ?? errors;
      }
      // Fastify reads `validation` and `validationContext` of the error it makes from this list.
      return { error: errors as never };
    };
    made.set(name, check);
    return check;
  };
};
