/** A person's paths through the dashboard, in a real browser against a real daemon. */
import { readFileSync, readlinkSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { seriousIssues } from "./accessibility.ts";
import { Dashboard } from "./dashboard.ts";

let dashboard: Dashboard;
beforeAll(async () => {
  dashboard = await Dashboard.open("web", 1_970_000_000);
}, 120_000);
afterAll(() => dashboard[Symbol.asyncDispose]());
afterEach(() => expect(dashboard.complaints.splice(0)).toEqual([]));

describe("the door", () => {
  it("refuses a wrong token in words, and takes the right one into this tab alone", async () => {
    const { page } = dashboard;
    await page.goto(`${dashboard.origin}/`);
    await page.getByLabel("Token").fill("wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("alert").getByText("A valid token is needed").waitFor();
    expect(await seriousIssues(page)).toEqual([]);
    await dashboard.photograph("login");
    await page.getByLabel("Token").fill(dashboard.token);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    expect(
      await page.evaluate(
        "JSON.stringify([localStorage.length, document.cookie, location.href.includes(sessionStorage['unshared.token'])])",
      ),
    ).toBe('[0,"",false]');
  });

  it("shows what comes as it comes", async () => {
    const { page, daemon } = dashboard;
    await dashboard.go("#/sandboxes");
    await page.getByText("No sandbox yet").waitFor();
    await daemon.run({ name: "fresh" });
    await page.getByRole("row", { name: /fresh.*running/ }).waitFor();
    expect(await seriousIssues(page)).toEqual([]);
    await dashboard.photograph("sandboxes");
  });
});

describe("a sandbox", () => {
  it("is made by the form, which says what is wrong with which field", async () => {
    const { page, daemon } = dashboard;
    await dashboard.go("#/sandboxes");
    await page.getByRole("button", { name: "New sandbox" }).click();
    const dialog = page.getByRole("dialog", { name: "New sandbox" });
    await dialog.getByLabel("Name", { exact: true }).fill("Not a name");
    await dialog.getByRole("button", { name: "Create" }).click();
    await dialog.getByRole("alert").waitFor();
    expect(await dialog.getByLabel("Name", { exact: true }).getAttribute("aria-invalid")).toBe("true");
    expect(await seriousIssues(page)).toEqual([]);
    await dashboard.photograph("create");
    await dialog.getByLabel("Name", { exact: true }).fill("made-here");
    await dialog.getByText("More", { exact: true }).click();
    await dialog.getByLabel("Labels").fill("team=web");
    await dialog.getByRole("button", { name: "Create" }).click();
    await page.getByRole("heading", { name: /made-here running/ }).waitFor();
    const report = await daemon.report("made-here");
    expect([report.labels, report.definition.limits.memoryBytes, report.definition.limits.pids]).toEqual([
      { team: "web" },
      268_435_456,
      128,
    ]);
  });

  it("tells its namespaces as the kernel has them, and what it uses", async () => {
    const { page, daemon } = dashboard;
    await dashboard.go("#/sandboxes/made-here");
    const { process } = await daemon.report("made-here");
    const inode = /\[(\d+)\]/.exec(readlinkSync(`/proc/${process.pid}/ns/net`))?.[1] ?? "";
    await page.getByRole("row", { name: new RegExp(`net ${inode} .*its own`) }).waitFor();
    await page.getByRole("figure").getByText("of 256 MiB").waitFor();
    expect(await seriousIssues(page)).toEqual([]);
    await dashboard.photograph("report");
  });

  it("has a terminal that a person types in, and that is still there after the daemon was started anew", async () => {
    const { page, daemon } = dashboard;
    await dashboard.go("#/sandboxes/made-here/terminal");
    await page.getByRole("button", { name: "Open terminal" }).click();
    await page.getByText("Connected").waitFor();
    const screen = page.locator(".xterm-rows");
    await page.keyboard.type("echo $((6 * 7))-from-$HOSTNAME\n");
    await screen.getByText("42-from-made-here").waitFor();
    expect(await seriousIssues(page)).toEqual([]);
    await dashboard.photograph("terminal");

    await daemon.daemon.end("SIGKILL");
    await page.getByRole("alert").getByText("does not answer").waitFor();
    await dashboard.photograph("offline");
    await daemon.daemon.start();
    await page.getByText("Connected").waitFor();
    await page.getByRole("alert").waitFor({ state: "detached" });
    await page.locator(".screen").click();
    await page.keyboard.type("echo still-$((40 + 2))\n");
    await screen.getByText("still-42").waitFor();
    await page.keyboard.type("exit 3\n");
    await page.getByText("Exited with 3").waitFor();
  });

  it("runs commands, and shows what lives in it", async () => {
    const { page } = dashboard;
    await dashboard.go("#/sandboxes/made-here/processes");
    await page.getByLabel("Command", { exact: true }).fill("echo out; echo err >&2; exit 4");
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.getByText("exit 4").first().waitFor();
    await page.getByText("err", { exact: true }).waitFor();
    await page.getByRole("table", { name: "Processes that are alive" }).getByText("/bin/bash").first().waitFor();
    expect(await seriousIssues(page)).toEqual([]);
    await dashboard.photograph("processes");
    await page.getByRole("link", { name: "Logs" }).click();
    await page.getByRole("log").getByText("err", { exact: true }).waitFor();
    expect(await seriousIssues(page)).toEqual([]);
    await dashboard.photograph("logs");
  });

  it("takes files, shows, changes and gives them back", async () => {
    const { page, daemon } = dashboard;
    await dashboard.go("#/sandboxes/made-here/files?path=/tmp");
    await page.getByLabel("Files to upload").setInputFiles({ name: "note.txt", mimeType: "text/plain", buffer: Buffer.from("first\n") });
    await page.getByRole("button", { name: "Edit note.txt" }).click();
    const text = page.getByRole("dialog").getByLabel("Text");
    expect(await text.inputValue()).toBe("first\n");
    await text.fill("second\n");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    const stored = await daemon.request("GET", "/v1/sandboxes/made-here/files?path=/tmp/note.txt");
    expect(stored.text).toBe("second\n");
    await page.getByRole("button", { name: "New folder" }).click();
    await page.getByRole("dialog").getByLabel("Name").fill("made");
    await page.getByRole("dialog").getByRole("button", { name: "Make it" }).click();
    await page.getByRole("link", { name: "made" }).waitFor();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download note.txt" }).click()]);
    expect(readFileSync(await download.path(), "utf8")).toBe("second\n");
    await dashboard.go("#/sandboxes/made-here/files");
    await page.getByRole("link", { name: "tmp" }).waitFor();
    expect(await seriousIssues(page)).toEqual([]);
    await dashboard.photograph("files");
  });

  it("stands in the live diagram beside others, with its own namespaces, and goes from there", async () => {
    const { page, daemon } = dashboard;
    await dashboard.go("#/");
    const { name, namespaces } = await daemon.run({ name: "neighbour", namespaces: { net: false } });
    const box = page
      .getByRole("list", { name: "Sandboxes that run" })
      .getByRole("listitem")
      .filter({ has: page.getByRole("link", { name }) });
    await box.getByText(`pid${namespaces.pid.inode}`).waitFor();
    expect(await box.getByText(`net${namespaces.net.inode}`).getAttribute("class")).toContain("host");
    await page
      .getByRole("figure")
      .getByText(/^of \d+ CPUs$/)
      .waitFor();
    expect(await seriousIssues(page)).toEqual([]);
    // Lines need some looks, of which there is one every two seconds.
    if (process.env["UNSHARED_TEST_LONG"] === "1") await page.waitForTimeout(12_000);
    await dashboard.photograph("overview");
    await daemon.request("DELETE", `/v1/sandboxes/${name}`);
    await box.waitFor({ state: "detached" });
  });

  it("is killed and deleted, with what that released", async () => {
    const { page, daemon } = dashboard;
    await dashboard.go("#/sandboxes/made-here");
    await page.getByRole("button", { name: "Kill" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Kill" }).click();
    await page.getByRole("heading", { name: /made-here stopped/ }).waitFor();
    await page.getByText("What its end released").waitFor();
    await page.getByText("nothing", { exact: true }).waitFor();
    expect(await seriousIssues(page)).toEqual([]);
    await dashboard.photograph("stopped");
    await page
      .getByRole("navigation", { name: /^Parts of/ })
      .getByRole("link", { name: "Events" })
      .click();
    await page
      .getByRole("row", { name: /sandbox\.stopped/ })
      .first()
      .waitFor();
    await dashboard.photograph("events-of-one");
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "Sandboxes" }).waitFor();
    expect((await daemon.request("GET", "/v1/sandboxes/made-here")).status).toBe(404);
  });
});
