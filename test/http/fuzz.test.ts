import { readdirSync, readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { contract, documentedCodes, nameOf, type Operation, operations, type Schema } from "./contract.ts";
import { Chance, type FuzzRequest, requestOf } from "./fuzz-values.ts";

const isLong = process.env["UNSHARED_TEST_LONG"] === "1";
const count = isLong ? 20_000 : 1_500;
const workers = 8;
/** The same requests each time, but for what is learnt from answers; others by UNSHARED_FUZZ_SEED, and in the long form. */
const seed = Number(process.env["UNSHARED_FUZZ_SEED"] ?? (isLong ? Date.now() % 1_000_000_007 : 1));

let box: SandboxDaemon;
beforeAll(async () => {
  box = await SandboxDaemon.start("fuzz", 1_610_612_736, "--ready-shells", "1", "--default-root", "off");
  await root("default");
  await root("tiny");
});
afterAll(() => box[Symbol.asyncDispose]());

const root = async (name: string) => {
  const { status, text } = await box.request("POST", "/v1/roots?wait=60", {
    name,
    source: { kind: "copy", binaries: ["/bin/bash", "/bin/sleep"] },
  });
  if (status !== 201) throw new Error(`no root: ${text}`);
};

// Copies of the database are made by others' tests; the rest is asked at random.
const asked = operations.filter(({ path }) => path !== "/v1/backup");
/** Ids and names for the paths of one worker. Each has sandboxes of its own: what only several at a time can bring about is no fault of one. */
type Known = Record<string, string[]>;
const knownOf = (worker: number): Known => ({
  sandbox: ["a", "b", "c"].map((name) => `${name}${worker}`),
  process: ["main"],
  root: ["default", "none"],
  run: ["none"],
  operation: ["none"],
  token: ["none"],
  webhook: ["none"],
});

const ajv = new Ajv2020({ strict: false, allErrors: true });
(addFormats as unknown as (ajv: Ajv2020) => void)(ajv);
ajv.addSchema({ $id: "contract", components: contract.components });
const validators = new Map<Schema, ReturnType<Ajv2020["compile"]>>();
const faultsOf = (schema: Schema, value: unknown): string => {
  const validate =
    validators.get(schema) ?? ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/components/', '"contract#/components/')));
  validators.set(schema, validate);
  return validate(value) ? "" : ajv.errorsText(validate.errors);
};

interface Answer {
  status: number;
  type: string;
  text: string;
  /** It went on, and was left. */
  left: boolean;
}

/** Sends it; leaves an answer that goes on after a moment. @throws Error when nothing is answered in time */
const send = ({ method, path, body, headers }: FuzzRequest): Promise<Answer> =>
  new Promise((done, failed) => {
    const payload = body === undefined ? null : JSON.stringify(body);
    const type: Record<string, string> =
      payload === null ? {} : { "content-type": "application/json", "content-length": `${Buffer.byteLength(payload)}` };
    const options = { socketPath: box.daemon.socket, method, path, headers: { host: "localhost", ...type, ...headers }, agent: false };
    const request = httpRequest(options, (response) => {
      const answer = { status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", text: "", left: false };
      response.setEncoding("utf8").on("data", (chunk: string) => {
        if (answer.text.length < 4_000_000) answer.text += chunk;
      });
      const goesOn = /follow=true|stream=true|\/watch|\/events|text\/event-stream/.test(`${path} ${headers["accept"] ?? ""}`);
      const leave = goesOn
        ? setTimeout(() => {
            answer.left = true;
            request.destroy();
            done(answer);
          }, 100)
        : undefined;
      response.once("close", () => {
        clearTimeout(leave);
        clearTimeout(late);
        done(answer);
      });
    });
    const late = setTimeout(() => {
      request.destroy();
      failed(new Error("no answer within 60 s"));
    }, 60_000);
    request.once("error", (error) => {
      clearTimeout(late);
      failed(error);
    });
    request.end(payload ?? undefined);
  });

/** The sandbox ended beneath work on its files: a stop that was answered with 202 goes on, and a lifetime ends when it ends. */
const isInterrupted = (status: number, text: string): boolean => status === 503 && text.includes('"code":"files-interrupted"');

/** What is wrong with an answer, by the contract; empty when nothing is. */
const wrongOf = (operation: Operation, { status, type, text, left }: Answer): string => {
  if (status >= 500 && !isInterrupted(status, text)) return `answers ${status}`;
  const media = operation.responses[`${status}`];
  if (media === undefined) return `answers ${status}, which is not in the contract`;
  if (left || operation.method === "HEAD" || !/\bjson\b/.test(type) || type.includes("ndjson")) return "";
  const mediaType = type.split(";", 1)[0] as string;
  const schema = media.content?.[mediaType]?.schema;
  if (schema === undefined) return `answers ${status} as ${mediaType}, which is not in the contract`;
  const body = JSON.parse(text);
  const faults = faultsOf(schema, body);
  if (faults !== "") return `answers what does not fit its schema: ${faults}`;
  if (status < 400) return "";
  if (!documentedCodes.includes(body.code)) return `tells the code ${body.code}, which is not documented`;
  return media.description?.includes(`\`${body.code}\``)
    ? ""
    : `tells the code ${body.code}, which the contract does not have for ${status}`;
};

/** Ids of what was made, so that later requests meet it. */
const learn = (known: Known, { path }: Operation, answer: Answer): void => {
  if (answer.status !== 201 && answer.status !== 202 && answer.status !== 200) return;
  if (!answer.type.startsWith("application/json") || answer.left) return;
  const { id } = JSON.parse(answer.text) as { id?: unknown };
  const kind =
    path === "/v1/runs"
      ? "run"
      : path === "/v1/roots"
        ? "operation"
        : path === "/v1/webhooks"
          ? "webhook"
          : path.endsWith("/processes")
            ? "process"
            : null;
  if (typeof id !== "string" || kind === null) return;
  known[kind] = [...(known[kind] ?? []).slice(-8), id];
};

/** Something to meet: one that runs, one with a terminal, one that is only stored, and a process. */
const prepare = async (known: Known) => {
  const [a, b, c] = known["sandbox"] as [string, string, string];
  await box.request("POST", "/v1/sandboxes?start=true", { name: a });
  await box.request("POST", "/v1/sandboxes?start=true", { name: b, tty: true });
  await box.request("POST", "/v1/sandboxes", { name: c });
  const { body } = await box.request("POST", `/v1/sandboxes/${a}/processes`, { command: ["/bin/bash"], stdin: true });
  known["process"] = ["main", body.id];
};

const clear = async () => {
  for (const { id } of (await box.request("GET", "/v1/runs?limit=1000")).body.items) await box.request("DELETE", `/v1/runs/${id}`);
  await box.clear();
  for (const { id } of (await box.request("GET", "/v1/tokens?limit=1000")).body.items) await box.request("DELETE", `/v1/tokens/${id}`);
  for (const { id } of (await box.request("GET", "/v1/webhooks")).body.items) await box.request("DELETE", `/v1/webhooks/${id}`);
  const roots = (await box.request("GET", "/v1/roots?limit=1000")).body.items;
  for (const { id, name } of roots) if (!["default", "tiny"].includes(name)) await box.request("DELETE", `/v1/roots/${id}`);
  for (const name of ["default", "tiny"]) if (!roots.some((each: { name: string }) => each.name === name)) await root(name);
};
const descriptors = () => readdirSync(`/proc/${box.daemon.pid}/fd`).length;
/** V8 gives back what it holds ready for new objects after 8 s without work (gc-memory-reducer-start-delay-ms), in two collections. */
const restMilliseconds = 30_000;
/** What the objects take that are still in use: the allocator keeps up to a hundred megabytes more of what was freed in between them. */
const heapMegabytes = async (): Promise<number> => {
  const { text } = await box.request("GET", "/metrics");
  const bytes = ["nodejs_heap_size_used_bytes", "nodejs_external_memory_bytes"].map((name) =>
    Number(new RegExp(`^${name} (\\d+)`, "m").exec(text)?.[1]),
  );
  return bytes.reduce((sum, each) => sum + each, 0) / 1_000_000;
};
const residentKib = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${box.daemon.pid}/status`, "utf8"))?.[1]);

it(`answers ${count} requests at random by its contract, and leaks nothing (check 61)`, {
  timeout: isLong ? 3_600_000 : 240_000,
}, async () => {
  await clear();
  const base = {
    processes: box.processes().length,
    cgroups: box.cgroups(),
    descriptors: descriptors(),
    resident: residentKib(),
    pid: box.daemon.pid,
  };
  const found = new Map<string, string>();
  const statuses = new Map<number, number>();
  let sent = 0;
  let halfway = 0;
  const work = async (worker: number, until: number) => {
    const chance = new Chance(seed + until + worker);
    const known = knownOf(worker);
    await prepare(known);
    while (sent < until && found.size < 40) {
      sent += 1;
      const operation = chance.of(asked);
      const request = requestOf(chance, operation, known);
      let answer: Answer | null = null;
      const wrong = await send(request).then(
        (each) => {
          answer = each;
          learn(known, operation, each);
          statuses.set(each.status, (statuses.get(each.status) ?? 0) + 1);
          return wrongOf(operation, each);
        },
        (error: Error) => error.message,
      );
      if (wrong === "") continue;
      const shown = `${request.method} ${request.path} ${JSON.stringify(request.body)?.slice(0, 2_000)} ${JSON.stringify(request.headers)}`;
      found.set(`${nameOf(operation)} ${wrong}`, `${shown} -> ${(answer as Answer | null)?.text.slice(0, 1_000)}`);
    }
  };
  for (let end = 250; sent < count && found.size < 40; end += 250) {
    await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker, Math.min(end, count))));
    await clear();
    if (isLong && end === count / 2) {
      await sleep(restMilliseconds);
      halfway = await heapMegabytes();
    }
  }
  expect([...found.entries()], `seed ${seed}, statuses ${JSON.stringify([...statuses])}`).toEqual([]);
  expect(box.daemon.pid).toBe(base.pid);
  await until(
    "no process and cgroup more than before",
    () => box.processes().length <= base.processes + 1 && box.cgroups().length <= base.cgroups.length,
  );
  await until("no more descriptors than before", () => descriptors() <= base.descriptors + 5);
  await until("the memory that may be taken", () => residentKib() - base.resident < 200_000, 60_000);
  // The heap is laid out within the first thousands; what grows after that, and does not go when it rests, is a leak.
  if (isLong) await until("hardly more in use than halfway", async () => (await heapMegabytes()) - halfway < 10, 60_000);
});
