import { ConfigError } from "./config-error.ts";
import { type Scope, scopes } from "./domain/callers.ts";
import type { PeerGrant } from "./domain/peer-scopes.ts";
import { type Quotas, quotaBounds, quotaNames } from "./domain/quotas.ts";

/** As it is written; `name` is a number, or to be looked up. */
export interface WrittenPeerRule extends PeerGrant {
  kind: "uid" | "gid";
  name: string;
}

const form = /^(uid|gid):([^:=,\s]{1,64})=([a-z]+)((?::[A-Za-z]+(?:=[\d.]+)?)*)$/;
const usage = "takes uid:NAME=SCOPE or gid:NAME=SCOPE, with :all and :QUOTA=NUMBER after it as it may be";

const quotaOf = (option: string): Quotas => {
  const [key = "", value = ""] = option.split("=", 2);
  const name = quotaNames.find((each) => each === key);
  if (name === undefined) throw new ConfigError(`--peer-scope: "${option}" is neither "all" nor a quota of ${quotaNames.join(", ")}`);
  const [low, high] = quotaBounds[name];
  const number = (name === "requestsPerSecond" ? /^\d{1,7}(\.\d{1,6})?$/ : /^\d{1,16}$/).test(value) ? Number(value) : Number.NaN;
  if (!(number >= low && number <= high))
    throw new ConfigError(`--peer-scope: ${name} takes a number from ${low} to ${high}, not "${value}"`);
  return { [name]: number };
};

const ruleOf = (part: string): WrittenPeerRule => {
  const [, kind, name = "", scope, options = ""] = form.exec(part) ?? [];
  if (kind === undefined || !scopes.includes(scope as Scope))
    throw new ConfigError(`--peer-scope ${usage}; scopes are ${scopes.join(", ")}; not "${part}"`);
  if (/^\d/.test(name) && !(/^\d{1,10}$/.test(name) && Number(name) < 2 ** 32 - 1))
    throw new ConfigError(`--peer-scope: "${name}" is neither a name nor an id from 0 to 4294967294`);
  const words = options.split(":").filter((word) => word !== "");
  const quotas: Quotas = Object.assign({}, ...words.filter((word) => word !== "all").map(quotaOf));
  return { kind: kind as "uid" | "gid", name, scope: scope as Scope, seesAll: words.includes("all"), quotas };
};

/** Rules with commas between them, as `uid:1000=run,gid:ci=run:sandboxes=5,uid:prometheus=read:all`. @throws ConfigError */
export const peerRules = (text: string): readonly WrittenPeerRule[] => {
  const rules = text
    .split(",")
    .filter((part) => part !== "")
    .map(ruleOf);
  const names = rules.map(({ kind, name }) => `${kind}:${name}`);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) throw new ConfigError(`--peer-scope has two rules about ${twice}`);
  return Object.freeze(rules);
};
