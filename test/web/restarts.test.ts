/** What a person sees while the daemon is away, and that the page comes back by itself. */
import { createServer } from "node:net";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { seriousIssues } from "./accessibility.ts";
import { Dashboard } from "./dashboard.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

/** A port that is free and that the kernel gives to nobody by itself: the daemon comes back to it. */
const fixedPort = async (): Promise<number> => {
  for (let port = 20_000 + (process.pid % 10_000); ; port += 1) {
    const server = createServer();
    const isFree = await new Promise<boolean>((done) => {
      server.once("error", () => done(false));
      server.listen(port, "127.0.0.1", () => done(true));
    });
    if (!isFree) continue;
    await new Promise((done) => server.close(done));
    return port;
  }
};

let dashboard: Dashboard;
beforeAll(async () => {
  dashboard = await Dashboard.open("web-restarts", 1_976_000_000, "--listen", `127.0.0.1:${await fixedPort()}`);
  await dashboard.daemon.run({ name: "survivor" });
  await dashboard.logIn("#/sandboxes");
});
afterAll(() => dashboard[Symbol.asyncDispose]());
afterEach(() => expect(dashboard.complaints.splice(0)).toEqual([]));

it("a daemon that is killed is told as offline, and found again with what happened since, without a touch", async () => {
  const { page, daemon } = dashboard;
  const survivor = page.getByRole("row", { name: /survivor.*running/ });
  await survivor.waitFor();
  await daemon.daemon.end("SIGKILL");
  const banner = page.getByRole("alert").getByText("The daemon does not answer");
  await banner.waitFor();
  // What was known is still there, and can be read.
  expect(await survivor.isVisible()).toBe(true);
  expect(await seriousIssues(page)).toEqual([]);
  await dashboard.photograph("offline");
  await daemon.daemon.start();
  await banner.waitFor({ state: "detached" });
  await page.getByText("Live", { exact: true }).waitFor({ state: "attached" });
  await daemon.run({ name: "newcomer" });
  await page.getByRole("row", { name: /newcomer.*running/ }).waitFor();
  expect(await survivor.isVisible()).toBe(true);
});

it("what is asked while it is away is refused in words, and works afterwards", async () => {
  const { page, daemon } = dashboard;
  await dashboard.go("#/runs");
  await page.getByLabel("Script").fill("echo again");
  await daemon.daemon.end("SIGKILL");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByRole("alert").getByText("The daemon does not answer").first().waitFor();
  await daemon.daemon.start();
  await page.getByText("Live", { exact: true }).waitFor({ state: "attached" });
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByRole("log", { name: "Output" }).getByText("again").waitFor();
});

it("a token that is revoked ends the session, and says so", async () => {
  const { page, daemon } = dashboard;
  const { body } = await daemon.request("POST", "/v1/tokens", { name: "short", scopes: ["read"], selector: {} });
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Token").fill(body.token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
  await daemon.request("DELETE", "/v1/tokens/short");
  await page.getByText("The token is not valid any more.").waitFor();
  expect(await page.evaluate("sessionStorage.length")).toBe(0);
});

it("all of it is used by the keyboard alone", async () => {
  const { page } = dashboard;
  await page.getByLabel("Token").focus();
  await page.keyboard.type(dashboard.token);
  await page.keyboard.press("Enter");
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
  /** Presses Tab until that has the focus, and it is seen to have it. */
  const reach = async (role: "link" | "button" | "textbox", name: string): Promise<void> => {
    const target = page.getByRole(role, { name, exact: true }).first();
    await target.waitFor();
    for (let presses = 0; presses < 60; presses += 1) {
      await page.keyboard.press("Tab");
      if ((await target.and(page.locator(":focus")).count()) === 0) continue;
      expect(await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")).not.toBe("none");
      return;
    }
    throw new Error(`${role} ${name} is not reached by Tab`);
  };
  await reach("link", "Runs");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Runs" }).waitFor();
  await reach("textbox", "Script");
  await page.keyboard.press("Control+a");
  await page.keyboard.type("echo by keys");
  await reach("button", "Run");
  await page.keyboard.press("Enter");
  await page.getByRole("log", { name: "Output" }).getByText("by keys").waitFor();
  await reach("link", "Tokens");
  await page.keyboard.press("Enter");
  await reach("button", "New token");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
});
