import type { Context } from "../context.ts";
import { ageText, secondsOf } from "./parsing.ts";

type Scope = "read" | "run" | "admin";

/** The secret alone, so that it can be put into a variable. */
export const createToken = async ({ client, out }: Context, name: string, options: { scope: string[]; ttl?: string }): Promise<void> => {
  const ttl = options.ttl === undefined ? {} : { ttlSeconds: Math.round(secondsOf(options.ttl)) };
  const token = await client.tokens.create({ name, scopes: options.scope as Scope[], ...ttl });
  out.value(token, () => out.line(token.token));
};

export const listTokens = async ({ client, out }: Context): Promise<void> => {
  const found = await Array.fromAsync(client.tokens.list());
  out.value(found, () => {
    const rows = found.map((each) => [
      each.name,
      each.scopes.join(","),
      ageText(each.createdAt),
      each.expiresAt ?? "never",
      each.lastUsedAt ?? "never",
    ]);
    out.table(["NAME", "SCOPES", "AGE", "EXPIRES", "LAST USED"], rows);
  });
};

export const revokeTokens = async ({ client, out }: Context, names: string[]): Promise<void> => {
  for (const name of names) {
    await client.tokens.revoke(name);
    out.value({ name }, () => out.line(name));
  }
};
