import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { tcpPort } from "../http/small-daemon.ts";

const screenshots = resolve(import.meta.dirname, "screenshots");
/** The machine may be loaded: what is waited for has time. */
const patienceMilliseconds = 25_000;
const phone = { width: 390, height: 844 };
const desk = { width: 1280, height: 860 };

/** What a person looks at: both themes and both widths take their time. */
const looks = [
  ["desk", "light"],
  ["phone", "dark"],
  ...(process.env["UNSHARED_TEST_LONG"] === "1"
    ? ([
        ["desk", "dark"],
        ["phone", "light"],
      ] as const)
    : []),
] as const;

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A port that nobody listens on: the daemon must come back to the same one when it is started anew. */
const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
};

/** A daemon of its own, and a person who looks at its dashboard with Debian's Chromium. */
export class Dashboard implements AsyncDisposable {
  readonly daemon: SandboxDaemon;
  readonly page: Page;
  /** What the browser complained about: errors of scripts, what the policy refused, requests to other hosts. */
  readonly complaints: string[] = [];
  readonly #context: BrowserContext;
  readonly #profile: string;

  private constructor(daemon: SandboxDaemon, context: BrowserContext, page: Page, profile: string) {
    this.daemon = daemon;
    this.page = page;
    this.#context = context;
    this.#profile = profile;
    page.setDefaultTimeout(patienceMilliseconds);
    page.on("pageerror", (error) => this.complaints.push(`error: ${error.stack ?? error.message}`));
    page.on("console", (message) => {
      // What was answered with a refusal, or not at all, is told by the page.
      if (message.type() === "error" && !/Failed to load resource|WebSocket connection/.test(message.text()))
        this.complaints.push(message.text());
    });
    page.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol !== "data:" && protocol !== "blob:" && origin !== this.origin) this.complaints.push(`a request to ${request.url()}`);
    });
  }

  /** @param name and @param idBase as of `SandboxDaemon` */
  static async open(name: string, idBase: number, ...daemonFlags: string[]): Promise<Dashboard> {
    const port = await freePort();
    const profile = mkdtempSync(join(tmpdir(), "unshared-chromium-"));
    const [daemon, context] = await Promise.all([
      SandboxDaemon.start(name, idBase, "--listen", `127.0.0.1:${port}`, ...daemonFlags),
      chromium.launchPersistentContext(profile, {
        executablePath: "/usr/bin/chromium",
        args: flags,
        viewport: desk,
        acceptDownloads: true,
        // What is only half there yet has no contrast.
        reducedMotion: "reduce",
      }),
    ]);
    const page = context.pages()[0] ?? (await context.newPage());
    return new Dashboard(daemon, context, page, profile);
  }

  get browser(): Browser | null {
    return this.#context.browser();
  }

  get origin(): string {
    return `http://127.0.0.1:${tcpPort(this.daemon.daemon)}`;
  }

  get token(): string {
    return readFileSync(join(this.daemon.daemon.stateDir, "admin.token"), "utf8").trim();
  }

  /** Opens the page and gives the token, as a person does; then goes to that address. */
  async logIn(fragment = "#/"): Promise<void> {
    await this.page.goto(`${this.origin}/${fragment}`);
    await this.page.getByLabel("Token").fill(this.token);
    await this.page.getByRole("button", { name: "Log in" }).click();
    await this.page.getByRole("navigation", { name: "Pages" }).waitFor({ state: "attached" });
  }

  go(fragment: string): Promise<unknown> {
    return this.page.goto(`${this.origin}/${fragment}`);
  }

  /** Pictures of what is there now, for a person to look at: wide and light, narrow and dark; the other two with UNSHARED_TEST_LONG=1. */
  async photograph(name: string): Promise<void> {
    mkdirSync(screenshots, { recursive: true });
    for (const [width, colorScheme] of looks) {
      await this.page.emulateMedia({ colorScheme });
      await this.page.setViewportSize(width === "desk" ? desk : phone);
      await this.page.screenshot({ path: join(screenshots, `${name}-${width}-${colorScheme}.png`), fullPage: width === "phone" });
    }
    await this.page.setViewportSize(desk);
    await this.page.emulateMedia({ colorScheme: "light" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.close();
    rmSync(this.#profile, { recursive: true, force: true });
    await this.daemon[Symbol.asyncDispose]();
  }
}
