/** The pages that manage what sandboxes are made with: runs, roots, events, tokens, the host. */
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { until } from "../fixtures/processes.ts";
import { seriousIssues } from "./accessibility.ts";
import { Dashboard } from "./dashboard.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });
let dashboard: Dashboard;
beforeAll(async () => {
  dashboard = await Dashboard.open("web-managing", 1_975_000_000);
  await dashboard.logIn("#/runs");
});
afterAll(() => dashboard[Symbol.asyncDispose]());
afterEach(() => expect(dashboard.complaints.splice(0)).toEqual([]));

const patience = 25_000;
const call = async (path: string, token = dashboard.token): Promise<number> =>
  (await fetch(`${dashboard.origin}${path}`, { headers: { authorization: `Bearer ${token}` } })).status;

/** Takes connections and never answers. */
const silentServer = async (): Promise<Disposable & { port: number }> => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket.on("error", () => {})));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const end = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port, [Symbol.dispose]: end };
};

it("a script is run from the keyboard, and its output, files and cost are there", async () => {
  const { page, daemon } = dashboard;
  const editor = page.getByLabel("Script");
  await editor.fill("echo out of $(hostname | wc -c); echo to stderr >&2; sort /in/file-1 > /out/sorted; exit 3");
  await page.getByText("Input and files").click();
  await page.getByRole("button", { name: "Add a file" }).click();
  await page.getByLabel("Text").fill("b\na\n");
  await page.getByLabel("Files to give back").fill("/out/*");
  await editor.press("Control+Enter");
  await page.getByRole("log", { name: "Output" }).getByText("out of").waitFor();
  await page.getByRole("log", { name: "Errors" }).getByText("to stderr").waitFor();
  await page.getByText("exit 3").first().waitFor();
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download /out/sorted" }).click();
  const download = await saved;
  expect([download.suggestedFilename(), readFileSync(await download.path(), "utf8")]).toEqual(["sorted", "a\nb\n"]);
  const [run] = (await daemon.request("GET", "/v1/runs")).body.items;
  expect(page.url()).toContain(`#/runs/${run.id}`);
  await page.getByRole("table", { name: "Runs" }).getByText(run.id).waitFor();
  await dashboard.photograph("runs");
});

it("a run has the seccomp profile that is chosen", async () => {
  const { page } = dashboard;
  const log = page.getByRole("log", { name: "Output" });
  // By the default profile a socket of the internet is to be had, by strict none is.
  await page.getByLabel("Script").fill("bash -c 'exec 3<>/dev/udp/127.0.0.1/9' 2>/dev/null && echo sent; echo over with $?");
  const profile = page.getByLabel("Seccomp");
  expect(await profile.locator("option").evaluateAll((all) => all.map((each) => each.value))).toEqual(["", "default", "strict"]);
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await log.getByText("sent").waitFor();
  await profile.selectOption("strict");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await log.getByText("over with 1").waitFor();
  expect(await log.textContent()).not.toContain("sent");
  await profile.selectOption("");
});

it("a run under way is cancelled", async () => {
  const { page, daemon } = dashboard;
  await page.getByLabel("Script").fill("sleep 1000");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("The run is cancelled").waitFor();
  await page.getByText("cancelled", { exact: true }).first().waitFor();
  const { items } = (await daemon.request("GET", "/v1/runs")).body;
  expect(items.map(({ state }: { state: string }) => state)).toContain("cancelled");
});

it("a root is provisioned, looked into and deleted; what it cannot be made from is said by field", async () => {
  const { page, daemon } = dashboard;
  await dashboard.go("#/roots");
  await page.getByRole("button", { name: "New root" }).click();
  await page.getByLabel("Name").fill("tiny");
  await page.getByLabel("Programs, one a line").fill("/bin/bash\n/no/such");
  await page.getByRole("button", { name: "Provision it" }).click();
  await page.getByRole("alert").getByText("/no/such").first().waitFor();
  await page.getByLabel("Programs, one a line").fill("/bin/bash\n/bin/ls");
  await dashboard.photograph("root-dialog");
  await page.getByRole("button", { name: "Provision it" }).click();
  await page.getByRole("row", { name: /tiny.*ready/ }).waitFor();
  await dashboard.photograph("roots");
  await page.getByRole("link", { name: "tiny" }).click();
  await page.getByLabel("Search the manifest").fill("libtinfo");
  await page
    .getByRole("cell", { name: /needed by \/usr\/bin\/bash/ })
    .first()
    .waitFor();
  await page.getByLabel("Search the manifest").fill("");
  await page.getByRole("button", { name: "usr" }).click();
  await page.getByRole("button", { name: "bin", exact: true }).click();
  await page.getByRole("cell", { name: "bash", exact: true }).waitFor();
  await dashboard.photograph("root");
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("The root tiny is deleted").waitFor();
  expect((await daemon.request("GET", "/v1/roots/tiny")).status).toBe(404);
});

it("a provisioning that takes long shows how far it is, and can be cancelled", async () => {
  const { page, daemon } = dashboard;
  await dashboard.go("#/roots");
  await page.getByRole("button", { name: "New root" }).click();
  await page.getByLabel("Name").fill("slow");
  await page.getByRole("radio", { name: /debootstrap/ }).check();
  // An archive that takes connections and says nothing: it takes as long as it may.
  using archive = await silentServer();
  await page.getByLabel("Archive").fill(`http://127.0.0.1:${archive.port}/debian`);
  await page.getByRole("button", { name: "Provision it" }).click();
  const job = page.getByRole("listitem").filter({ hasText: "slow" });
  await job.getByRole("progressbar").waitFor();
  await dashboard.photograph("provisioning");
  await job.getByRole("button", { name: "Cancel" }).click();
  await job.getByText("cancelled").waitFor();
  await until("the root is gone", async () => (await daemon.request("GET", "/v1/roots/slow")).status === 404, patience);
  await job.getByRole("button", { name: "Dismiss" }).click();
  await job.waitFor({ state: "detached" });
});

it("a token is made, its secret shown once, used and revoked", async () => {
  const { page } = dashboard;
  await dashboard.go("#/tokens");
  await page.getByRole("button", { name: "New token" }).click();
  await page.getByLabel("Name").fill("ci");
  await page.getByRole("radio", { name: /read/ }).check();
  await dashboard.photograph("token-dialog");
  await page.getByRole("button", { name: "Make the token" }).click();
  const secret = (await page.getByRole("dialog").locator("code").first().textContent()) ?? "";
  expect([await call("/v1/info", secret), await call("/v1/tokens", secret)]).toEqual([200, 403]);
  await page.getByRole("button", { name: "I have it" }).click();
  await page.getByRole("row", { name: /ci.*read.*what it makes/ }).waitFor();
  expect(await page.content()).not.toContain(secret);
  await dashboard.photograph("tokens");
  await page.getByRole("button", { name: "Revoke ci" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.getByText("No token yet").waitFor();
  expect(await call("/v1/info", secret)).toBe(401);
});

it("events are shown as they come, found by word, and held when asked", async () => {
  const { page, daemon } = dashboard;
  await dashboard.go("#/events");
  await daemon.run({ name: "eventful" });
  const table = page.getByRole("table", { name: "Events" });
  await table.getByText("eventful").first().waitFor();
  await page.getByLabel("About").selectOption("token");
  await table.getByText("sandbox.running").first().waitFor({ state: "detached" });
  await table.getByText("token.created").first().waitFor();
  await page.getByLabel("About").selectOption("");
  await page.getByLabel("Search events").fill("eventful running");
  await table.getByText("sandbox.running").waitFor();
  await page.getByLabel("Search events").fill("");
  await page.getByRole("button", { name: "Hold" }).click();
  await daemon.request("POST", "/v1/sandboxes/eventful/kill");
  await page.getByRole("button", { name: "Go on" }).click();
  await table.getByText("sandbox.stopped").first().waitFor();
  await page.getByRole("button", { name: "Show older ones" }).click();
  await page.getByText("These are all that are kept.").waitFor();
  await dashboard.photograph("events");
});

it("each requirement of the host is there in words", async () => {
  const { page, daemon } = dashboard;
  await dashboard.go("#/host");
  const { status, checks } = (await daemon.request("GET", "/v1/preflight")).body as { status: string; checks: { name: string }[] };
  const list = page.getByRole("list", { name: "Requirements" });
  await list.getByRole("listitem").first().waitFor();
  expect((await list.locator("strong").allTextContents()).toSorted()).toEqual(checks.map(({ name }) => name).toSorted());
  expect(status).toMatch(/ok|degraded/);
  await dashboard.photograph("host");
});

it.each(["", "sandboxes", "runs", "roots", "roots/default", "events", "tokens", "host"])(
  "%s has no serious issue in either theme, and fits a phone",
  async (name) => {
    const { page } = dashboard;
    await dashboard.go(`#/${name}`);
    await page.locator("h1").waitFor();
    await page.locator(".loading").first().waitFor({ state: "detached" });
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await seriousIssues(page), colorScheme).toEqual([]);
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 390, height: 844 });
    const [content, shown] = (await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")) as [number, number];
    expect(content).toBeLessThanOrEqual(shown);
    await page.setViewportSize({ width: 1280, height: 860 });
  },
);
