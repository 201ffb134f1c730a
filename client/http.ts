import { type Operations, operations } from "./api.ts";
import { ConnectionError, ProblemError, problemOf, TimeoutError } from "./errors.ts";
import { isRetried, pause, pauseAfter, type RetryPolicy } from "./retries.ts";
import type { Transport, WireRequest, WireSocket } from "./transport.ts";

/** What any call may be given. */
export interface CallOptions {
  /** Aborts it: it rejects with the signal's reason. The daemon may have done it all the same. */
  signal?: AbortSignal | undefined;
  /** For one attempt, its answer included; the client's `timeoutSeconds` by default. */
  timeoutSeconds?: number | undefined;
  /** Of a POST; made up by default, so that a repeated request is done once. */
  idempotencyKey?: string | undefined;
}

type Values = Record<string, unknown>;
type Given<Name extends "path" | "query" | "body", T> = T extends undefined
  ? { [K in Name]?: undefined }
  : T extends Record<string, never>
    ? { [K in Name]?: undefined }
    : Partial<T> extends T
      ? { [K in Name]?: T | undefined }
      : { [K in Name]: T };
/** What the operation takes: members that it has none of are left out, and those that are all optional may be. */
export type Arguments<K extends keyof Operations> = Given<"path", Operations[K]["path"]> &
  Given<"query", Operations[K]["query"]> &
  Given<"body", Operations[K]["body"]>;

/** A request for anything but JSON. */
export interface RawRequest extends CallOptions {
  method?: string | undefined;
  query?: Values | undefined;
  headers?: Record<string, string> | undefined;
  body?: WireRequest["body"];
  /** Whether the body can be sent once more, as a stream cannot. */
  repeatable?: boolean | undefined;
}

/** Answers that hold a secret, or whose body is passed on as it comes, cannot be given twice: the daemon refuses a key for them. */
const withoutKey: ReadonlySet<string> = new Set(["createToken", "writeInput"]);

const queryText = (query: Values | undefined): string => {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]) =>
    [value ?? []].flat().map((each) => `${encodeURIComponent(name)}=${encodeURIComponent(String(each))}`),
  );
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
};

/** The path of an operation, with its parameters and query. */
export const pathOf = (operation: keyof Operations, path: Values | undefined, query?: Values | undefined): string =>
  operations[operation][1].replaceAll(/\{([^}]+)\}/g, (_, name: string) => encodeURIComponent(String(path?.[name] ?? ""))) +
  queryText(query);

/** Requests to one daemon: deadlines, repeats, problems as errors. */
export class Http {
  readonly retries: RetryPolicy;
  readonly #transport: Transport;
  readonly #timeoutSeconds: number;

  constructor(transport: Transport, timeoutSeconds: number, retries: RetryPolicy) {
    this.#transport = transport;
    this.#timeoutSeconds = timeoutSeconds;
    this.retries = retries;
  }

  /** Any operation of the contract whose answer is JSON. @throws ProblemError, ConnectionError, TimeoutError, the signal's reason */
  async call<K extends keyof Operations>(operation: K, args: Arguments<K>, options: CallOptions = {}): Promise<Operations[K]["reply"]> {
    const [method] = operations[operation];
    const { path, query, body } = args as { path?: Values; query?: Values; body?: unknown };
    const isKeyed = method === "POST" && !withoutKey.has(operation);
    const headers: Record<string, string> = { accept: "application/json" };
    if (body !== undefined) headers["content-type"] = "application/json";
    if (isKeyed) headers["idempotency-key"] = options.idempotencyKey ?? crypto.randomUUID();
    const text = await this.text(pathOf(operation, path, query), {
      ...options,
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      repeatable: method !== "POST" || isKeyed,
    });
    return (text === "" ? undefined : JSON.parse(text)) as Operations[K]["reply"];
  }

  /** The whole answer as text. */
  text(path: string, options: RawRequest): Promise<string> {
    return this.#attempts(path, options, (response) => response.text());
  }

  /** The whole answer as bytes. */
  bytes(path: string, options: RawRequest): Promise<Uint8Array<ArrayBuffer>> {
    return this.#attempts(path, options, async (response) => new Uint8Array(await response.arrayBuffer()));
  }

  /** The answer once its head has come; its body may then take as long as it likes. Not repeated after that. */
  open(path: string, options: RawRequest): Promise<Response> {
    return this.#attempts(path, options, async (response) => response, true);
  }

  socket(path: string, protocol: string): Promise<WireSocket> {
    return this.#transport.socket(path, protocol);
  }

  close(): void {
    this.#transport.close();
  }

  async #attempts<T>(path: string, options: RawRequest, take: (response: Response) => Promise<T>, goesOn = false): Promise<T> {
    for (let failures = 1; ; failures += 1) {
      const last = failures >= this.retries.attempts || options.repeatable === false;
      let retryAfter: string | null = null;
      try {
        return await this.#attempt(path, options, goesOn, async (response) => {
          if (response.ok) return take(response);
          retryAfter = response.headers.get("retry-after");
          throw problemOf(response.status, await response.text(), path);
        });
      } catch (error) {
        if (options.signal?.aborted === true) throw options.signal.reason;
        const isFinal = error instanceof TimeoutError || (error instanceof ProblemError && !isRetried(error.status));
        if (isFinal || last) throw error;
      }
      await pause(pauseAfter(failures, retryAfter, this.retries), options.signal);
    }
  }

  async #attempt<T>(path: string, options: RawRequest, goesOn: boolean, take: (response: Response) => Promise<T>): Promise<T> {
    const seconds = options.timeoutSeconds ?? this.#timeoutSeconds;
    const stop = new AbortController();
    const late = new TimeoutError(`no answer within ${seconds} s: ${options.method ?? "GET"} ${path}`);
    const timer = seconds === Number.POSITIVE_INFINITY ? undefined : setTimeout(() => stop.abort(late), seconds * 1000);
    const abort = () => stop.abort(options.signal?.reason);
    if (options.signal?.aborted === true) throw options.signal.reason;
    options.signal?.addEventListener("abort", abort);
    let done = true;
    try {
      const response = await this.#transport.request({
        method: options.method ?? "GET",
        path: `${path}${queryText(options.query)}`,
        headers: options.headers ?? {},
        body: options.body,
        signal: stop.signal,
      });
      done = !(goesOn && response.ok);
      return await take(response);
    } catch (error) {
      if (stop.signal.aborted) throw stop.signal.reason;
      if (error instanceof ProblemError) throw error;
      throw new ConnectionError(`the daemon cannot be reached: ${reasonOf(error)}`, { cause: error });
    } finally {
      clearTimeout(timer);
      // Whoever still reads the body may abort that too.
      if (done) options.signal?.removeEventListener("abort", abort);
    }
  }
}

/** What the network said, which fetch hides behind "fetch failed". */
const reasonOf = (error: unknown): string => {
  const inner = (error as { cause?: unknown }).cause ?? error;
  return inner instanceof Error ? inner.message || ((inner as { code?: string }).code ?? inner.name) : String(inner);
};
