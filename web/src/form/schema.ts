/** Forms from the daemon's own contract, so that a field that it knows is there, and none that it does not. */

export interface Schema {
  $ref?: string;
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  enum?: (string | number | null)[];
  anyOf?: Schema[];
  default?: unknown;
  description?: string;
  examples?: unknown[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
}

interface Contract {
  paths: Record<string, Record<string, { requestBody?: { content: Record<string, { schema: Schema }> } }>>;
  components?: { schemas?: Record<string, Schema> };
}

let contract: Promise<Contract> | null = null;

const readContract = async (): Promise<Contract> => {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`the contract cannot be read: ${response.status}`);
  return (await response.json()) as Contract;
};

/** What the body of an operation may be. @param path as the contract has it, such as `/v1/sandboxes` */
export const bodySchema = async (path: string): Promise<Schema> => {
  contract ??= readContract();
  const { paths, components } = await contract.catch((error: unknown) => {
    contract = null;
    throw error;
  });
  const schema = paths[path]?.["post"]?.requestBody?.content["application/json"]?.schema;
  if (schema === undefined) throw new Error(`the contract has no body for POST ${path}`);
  return resolved(schema, components?.schemas ?? {});
};

/** A schema without references. Where it has alternatives, the form has the first, which is the plain one. */
export const resolved = (schema: Schema, named: Record<string, Schema>): Schema => {
  const name = schema.$ref?.split("/").at(-1);
  const [plain] = schema.anyOf ?? [];
  if (plain !== undefined) return resolved({ ...(schema.description && { description: schema.description }), ...plain }, named);
  if (name !== undefined) return resolved(named[name] ?? {}, named);
  const properties = Object.entries(schema.properties ?? {}).map(([key, each]) => [key, resolved(each, named)] as const);
  return {
    ...schema,
    ...(schema.properties && { properties: Object.fromEntries(properties) }),
    ...(schema.items && { items: resolved(schema.items, named) }),
  };
};

export type FieldKind = "text" | "number" | "bytes" | "choice" | "flag" | "lines" | "pairs" | "choices" | "group";

/** How a person fills it in; null where a form has no way to. */
export const kindOf = (name: string, schema: Schema): FieldKind | null => {
  const types = [schema.type ?? []].flat().filter((type) => type !== "null");
  if (schema.enum !== undefined) return "choice";
  switch (types[0]) {
    case "boolean":
      return "flag";
    case "integer":
      return name.endsWith("Bytes") ? "bytes" : "number";
    case "number":
      return "number";
    case "string":
      return "text";
    case "array":
      return schema.items?.enum === undefined ? "lines" : "choices";
    case "object":
      return schema.properties === undefined ? "pairs" : "group";
    default:
      return null;
  }
};

/** `memoryBytes` as a person says it: Memory. Units are said by the field. */
export const titleOf = (name: string): string => {
  const known: Readonly<Record<string, string>> = {
    cpus: "CPUs",
    cpuWeight: "CPU weight",
    uid: "User id",
    gid: "Group id",
    env: "Environment",
    cwd: "Working directory",
    tty: "Terminal for the main process",
    ttlSeconds: "Time to live, seconds",
    pids: "Processes",
    uts: "UTS",
    ipc: "IPC",
    pid: "PID",
    net: "Network",
  };
  const words = name
    .replace(/Bytes$/, "")
    .replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
    .replace(/ seconds$/, ", seconds");
  return known[name] ?? words.charAt(0).toUpperCase() + words.slice(1);
};
