import type { FileEntry, Operations } from "./api.ts";
import { ProblemError, UnsharedError } from "./errors.ts";
import { type CallOptions, type Http, pathOf } from "./http.ts";
import { serverEventsOf } from "./lines.ts";
import type { WireRequest } from "./transport.ts";

export interface WriteOptions extends CallOptions {
  /** Octal, as "0644" (the default). */
  mode?: string | undefined;
  uid?: number | undefined;
  gid?: number | undefined;
  /** Makes the directories that are missing. */
  parents?: boolean | undefined;
  /** Only where nothing has the name; else `precondition-failed`. */
  exclusive?: boolean | undefined;
}

export interface FileChange {
  kind: string;
  path: string;
}

type Change = Operations["changeFile"]["body"];
type Body = string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** Files take as long as they take. */
const unbounded = { timeoutSeconds: Number.POSITIVE_INFINITY } as const;

const isRepeatable = (body: Body): boolean => typeof body === "string" || body instanceof Uint8Array;

/** The files of a sandbox, running or not. Paths are absolute inside it. */
export class Files {
  readonly #http: Http;
  readonly #sandbox: string;

  constructor(http: Http, sandbox: string) {
    this.#http = http;
    this.#sandbox = sandbox;
  }

  async read(path: string, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await new Response(await this.readStream(path, options)).arrayBuffer());
  }

  async readText(path: string, options?: CallOptions): Promise<string> {
    return new TextDecoder().decode(await this.read(path, options));
  }

  /** The bytes as they come. */
  async readStream(path: string, options?: CallOptions): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const response = await this.#http.open(this.#path("readFile", { path }), { ...unbounded, ...options });
    if (response.headers.get("unshared-type") === "directory") {
      await response.body?.cancel();
      throw new UnsharedError(`${path} is a directory; list it, or read it as an archive`);
    }
    return response.body ?? (new Response("").body as ReadableStream<Uint8Array<ArrayBuffer>>);
  }

  /** Writes the whole file, or nothing. */
  async write(path: string, data: Body, options: WriteOptions = {}): Promise<FileEntry> {
    const { mode, uid, gid, parents, exclusive = false, ...call } = options;
    const headers = { "content-type": "application/octet-stream", ...(exclusive ? { "if-none-match": "*" } : {}) };
    return this.#put<FileEntry>(this.#path("writeFile", { path, mode, uid, gid, parents }), headers, data, call);
  }

  stat(path: string, options?: CallOptions): Promise<FileEntry> {
    return this.#json(this.#path("readFile", { path, stat: true }), options);
  }

  async exists(path: string, options?: CallOptions): Promise<boolean> {
    try {
      await this.stat(path, options);
      return true;
    } catch (error) {
      if (error instanceof ProblemError && error.code === "file-not-found") return false;
      throw error;
    }
  }

  /** The entries of a directory, by name. */
  async *list(path: string, options?: CallOptions): AsyncGenerator<FileEntry, void> {
    let cursor: string | null = null;
    do {
      const query = { path, ...(cursor === null ? {} : { cursor }) };
      const page: FileEntry | { entries: FileEntry[]; nextCursor: string | null } = await this.#listing(query, options);
      if (!("entries" in page)) throw new UnsharedError(`${path} is no directory`);
      yield* page.entries;
      cursor = page.nextCursor;
    } while (cursor !== null);
  }

  async remove(path: string, options: CallOptions & { recursive?: boolean } = {}): Promise<void> {
    const { recursive = false, ...call } = options;
    await this.#http.call("deleteFile", { path: { sandbox: this.#sandbox }, query: { path, recursive } }, call);
  }

  mkdir(path: string, options: CallOptions & { mode?: string; parents?: boolean } = {}): Promise<FileEntry> {
    const { mode, parents, ...call } = options;
    return this.change({ op: "mkdir", path, mode, parents }, call);
  }

  move(path: string, to: string, options?: CallOptions): Promise<FileEntry> {
    return this.change({ op: "move", path, to }, options);
  }

  copy(path: string, to: string, options?: CallOptions): Promise<FileEntry> {
    return this.change({ op: "copy", path, to }, options);
  }

  symlink(target: string, path: string, options?: CallOptions): Promise<FileEntry> {
    return this.change({ op: "symlink", path, target }, options);
  }

  chmod(path: string, mode: string, options?: CallOptions): Promise<FileEntry> {
    return this.change({ op: "chmod", path, mode }, options);
  }

  chown(path: string, uid: number, gid: number, options?: CallOptions): Promise<FileEntry> {
    return this.change({ op: "chown", path, uid, gid }, options);
  }

  change(body: Change, options?: CallOptions): Promise<FileEntry> {
    return this.#http.call("changeFile", { path: { sandbox: this.#sandbox }, body }, options);
  }

  /** A tree as a tar archive. */
  async readArchive(path: string, options?: CallOptions): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const response = await this.#http.open(this.#path("readArchive", { path }), { ...unbounded, ...options });
    return response.body as ReadableStream<Uint8Array<ArrayBuffer>>;
  }

  /** Unpacks a tar archive below a directory. */
  writeArchive(path: string, archive: Body, options?: CallOptions): Promise<Operations["writeArchive"]["reply"]> {
    return this.#put(this.#path("writeArchive", { path }), { "content-type": "application/x-tar" }, archive, options);
  }

  /** Changes below a directory as they happen. Does not come back by itself: what happened meanwhile would be missing. */
  async *watch(path: string, options: CallOptions & { recursive?: boolean } = {}): AsyncGenerator<FileChange, void> {
    const { recursive = false, ...call } = options;
    const response = await this.#http.open(this.#path("watchFiles", { path, recursive }), {
      ...call,
      headers: { accept: "text/event-stream" },
    });
    for await (const { name, data } of serverEventsOf(response)) {
      if (name === "end") return;
      yield { kind: name, path: String((JSON.parse(data) as { path?: string }).path ?? "") };
    }
  }

  #path(operation: "readFile" | "writeFile" | "readArchive" | "writeArchive" | "watchFiles", query: Record<string, unknown>): string {
    return pathOf(operation, { sandbox: this.#sandbox }, query);
  }

  async #listing(
    query: Record<string, unknown>,
    options: CallOptions | undefined,
  ): Promise<FileEntry | { entries: FileEntry[]; nextCursor: string | null }> {
    const path = String(query["path"]);
    const response = await this.#http.open(this.#path("readFile", query), { ...options });
    if (!response.headers.get("content-type")?.startsWith("application/json")) {
      await response.body?.cancel();
      throw new UnsharedError(`${path} is no directory`);
    }
    return (await response.json()) as never;
  }

  async #json<T>(path: string, options: CallOptions | undefined): Promise<T> {
    return JSON.parse(await this.#http.text(path, { ...options })) as T;
  }

  async #put<T>(path: string, headers: Record<string, string>, body: Body, options: CallOptions | undefined): Promise<T> {
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    const request = {
      ...unbounded,
      ...options,
      method: "PUT",
      headers,
      body: bytes as WireRequest["body"],
      repeatable: isRepeatable(body),
    };
    return JSON.parse(await this.#http.text(path, request)) as T;
  }
}
