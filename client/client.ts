import type { Diagram, Event, Operations, Receipt, Run, RunSummary, Sandbox as SandboxReport, Token } from "./api.ts";
import { type EventOptions, readEvents } from "./events.ts";
import { type Arguments, type CallOptions, Http } from "./http.ts";
import { Operation, pages } from "./operations.ts";
import { defaultRetries, type RetryPolicy } from "./retries.ts";
import { Sandbox } from "./sandbox.ts";
import type { Transport } from "./transport.ts";

export type Definition = Operations["createSandbox"]["body"];
export type RunInput = Operations["createRun"]["body"];
export type RootInput = Operations["createRoot"]["body"];
export type Root = Operations["getRoot"]["reply"];

export interface ClientOptions {
  /** For one attempt of a request that is answered at once. 30 by default. */
  timeoutSeconds?: number | undefined;
  retries?: Partial<RetryPolicy> | undefined;
}

export interface ListOptions extends CallOptions {
  labels?: Record<string, string> | undefined;
}

const runWaitSeconds = 60;
const labelPairs = (labels: Record<string, string> | undefined): string[] | undefined =>
  labels && Object.entries(labels).map(([key, value]) => `${key}=${value}`);

/** One daemon. */
export class Client implements Disposable {
  readonly #http: Http;

  constructor(transport: Transport, options: ClientOptions = {}) {
    this.#http = new Http(transport, options.timeoutSeconds ?? 30, { ...defaultRetries, ...options.retries });
  }

  /** Any operation of the contract by its name, typed. */
  call<K extends keyof Operations>(operation: K, args: Arguments<K>, options?: CallOptions): Promise<Operations[K]["reply"]> {
    return this.#http.call(operation, args, options);
  }

  readonly sandboxes = {
    /** Stores a definition and, unless `start` is false, starts it. */
    create: async (definition: Definition = {}, options: CallOptions & { start?: boolean } = {}): Promise<Sandbox> => {
      const { start = true, ...call } = options;
      return new Sandbox(this.#http, await this.call("createSandbox", { query: { start }, body: definition }, call));
    },
    /** @param nameOrId @throws ProblemError `sandbox-not-found` */
    get: async (nameOrId: string, options?: CallOptions): Promise<Sandbox> =>
      new Sandbox(this.#http, await this.call("getSandbox", { path: { sandbox: nameOrId } }, options)),
    /** Oldest first. */
    list: (options: ListOptions & { states?: SandboxReport["status"]["state"][] | undefined } = {}): AsyncGenerator<Sandbox, void> =>
      pages(async (cursor) => {
        const query = { cursor, label: labelPairs(options.labels), state: options.states, limit: 1000 };
        const { items, nextCursor } = await this.call("listSandboxes", { query }, options);
        return { items: items.map((report) => new Sandbox(this.#http, report)), nextCursor };
      }),
    /** Ends and removes it. */
    delete: (nameOrId: string, options?: CallOptions): Promise<Receipt> =>
      // Without `wait` it answers the receipt, however long that takes.
      this.call("deleteSandbox", { path: { sandbox: nameOrId }, query: {} }, options) as Promise<Receipt>,
  };

  readonly roots = {
    /** Begins to provision a root; `await operation.done()` waits for it. */
    create: async (input: RootInput, options?: CallOptions): Promise<Operation> => {
      const begun = await this.call("createRoot", { body: input, query: {} }, options);
      return new Operation(this.#http, begun as Operations["getOperation"]["reply"]);
    },
    get: (nameOrId: string, options?: CallOptions): Promise<Root> => this.call("getRoot", { path: { root: nameOrId } }, options),
    list: (options?: CallOptions): AsyncGenerator<Root, void> =>
      pages((cursor) => this.call("listRoots", { query: { cursor, limit: 1000 } }, options)),
    manifest: (nameOrId: string, options?: CallOptions) => this.call("getRootManifest", { path: { root: nameOrId } }, options),
    delete: async (nameOrId: string, options?: CallOptions): Promise<void> => {
      await this.call("deleteRoot", { path: { root: nameOrId } }, options);
    },
  };

  readonly runs = {
    /** Sends a one-shot job and waits for its end, however long that takes. */
    run: async (input: RunInput, options: CallOptions = {}): Promise<Run> => {
      const { id } = await this.call("createRun", { body: input, query: {} }, options);
      return this.runs.wait(id, options);
    },
    create: (input: RunInput, options?: CallOptions): Promise<Run> => this.call("createRun", { body: input, query: {} }, options),
    wait: async (id: string, options: CallOptions = {}): Promise<Run> => {
      const timeoutSeconds = runWaitSeconds + (options.timeoutSeconds ?? 30);
      for (;;) {
        const query = { wait: String(runWaitSeconds) };
        const run = await this.call("getRun", { path: { run: id }, query }, { ...options, timeoutSeconds });
        if (run.endedAt !== null) return run;
      }
    },
    get: (id: string, options?: CallOptions): Promise<Run> => this.call("getRun", { path: { run: id }, query: {} }, options),
    list: (options: ListOptions = {}): AsyncGenerator<RunSummary, void> =>
      pages((cursor) => this.call("listRuns", { query: { cursor, label: labelPairs(options.labels), limit: 1000 } }, options)),
    cancel: (id: string, options?: CallOptions): Promise<Run> => this.call("cancelRun", { path: { run: id } }, options),
    /** The files that had no room in the report, as a tar archive. */
    archive: async (id: string, options?: CallOptions): Promise<ReadableStream<Uint8Array>> =>
      (await this.#http.open(`/v1/runs/${encodeURIComponent(id)}/archive`, { timeoutSeconds: Number.POSITIVE_INFINITY, ...options }))
        .body as ReadableStream<Uint8Array>,
  };

  readonly operations = {
    get: async (id: string, options?: CallOptions): Promise<Operation> =>
      new Operation(this.#http, await this.call("getOperation", { path: { operation: id }, query: {} }, options)),
    list: (options?: CallOptions): AsyncGenerator<Operations["getOperation"]["reply"], void> =>
      pages((cursor) => this.call("listOperations", { query: { cursor, limit: 1000 } }, options)),
  };

  readonly tokens = {
    /** The secret is in the answer, and nowhere else. */
    create: (input: Operations["createToken"]["body"], options?: CallOptions): Promise<Operations["createToken"]["reply"]> =>
      this.call("createToken", { body: input }, options),
    list: (options?: CallOptions): AsyncGenerator<Token, void> =>
      pages((cursor) => this.call("listTokens", { query: { cursor, limit: 1000 } }, options)),
    revoke: async (nameOrId: string, options?: CallOptions): Promise<void> => {
      await this.call("revokeToken", { path: { token: nameOrId } }, options);
    },
  };

  /** Which sandbox has this inode, or this pid of the host; without a filter all namespaces. */
  namespaces(filter: Operations["findNamespaces"]["query"] = {}, options?: CallOptions): Promise<Operations["findNamespaces"]["reply"]> {
    return this.call("findNamespaces", { query: filter }, options);
  }

  /** What happens, as it does; comes back by itself. */
  events(options: EventOptions = {}): AsyncGenerator<Event, void> {
    return readEvents(this.#http, options);
  }

  /** The model of the diagram of host and sandboxes. */
  async diagram(options?: CallOptions): Promise<Diagram> {
    return (await this.call("getDiagram", { query: { format: "json" } }, options)) as Diagram;
  }

  /** The diagram as it is drawn, of all or of one sandbox. */
  drawing(format: "svg" | "mermaid", sandbox?: string, options?: CallOptions): Promise<string> {
    const path = sandbox === undefined ? "/v1/diagram" : `/v1/sandboxes/${encodeURIComponent(sandbox)}/diagram`;
    return this.#http.text(path, { ...options, query: { format } });
  }

  info(options?: CallOptions): Promise<Operations["getInfo"]["reply"]> {
    return this.call("getInfo", {}, options);
  }

  preflight(options?: CallOptions): Promise<Operations["getPreflight"]["reply"]> {
    return this.call("getPreflight", {}, options);
  }

  /** The daemon's numbers, in the text format of Prometheus. */
  metrics(options?: CallOptions): Promise<string> {
    return this.#http.text("/metrics", { ...options });
  }

  /** Closes idle connections. */
  close(): void {
    this.#http.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
