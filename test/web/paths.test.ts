/** A person's paths through the dashboard, in a real browser against a real daemon. */
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
