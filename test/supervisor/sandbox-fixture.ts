import { expect } from "vitest";
import { eventually } from "./eventually.ts";
import type { Launcher } from "./launcher-fixture.ts";
import { RawClient, type Reply, type Values } from "./raw-client.ts";
import { alive } from "./witness.ts";

/** Every field that EXEC needs, for a line of bash. */
const usualExec: Values = {
  env: ["PATH=/usr/bin:/bin"],
  cwd: "/",
  uid: 0,
  gid: 0,
  tty: 0,
  stdin: 0,
  "timeout-ms": 0,
  "output-bytes": 65536,
};

/** A running sandbox with an attached connection to its supervisor. */
export class Sandbox {
  readonly launcher: Launcher;
  readonly id: string;
  /** LAUNCHED, or REPORT where it was adopted. */
  readonly report: Reply;
  readonly client: RawClient;
  #processes = 0;

  private constructor(launcher: Launcher, id: string, report: Reply, client: RawClient) {
    this.launcher = launcher;
    this.id = id;
    this.report = report;
    this.client = client;
  }

  static async attach(launcher: Launcher, id: string, launched?: Reply): Promise<Sandbox> {
    const client = await RawClient.open(launcher.socket(id));
    const report = await client.ask("ATTACH");
    return new Sandbox(launcher, id, launched ?? report, client);
  }

  get pid(): number {
    return this.report.number("pid");
  }
  get init(): number {
    return this.report.number("init-pid");
  }
  get supervisor(): number {
    return this.report.number("supervisor-pid");
  }
  get cgroup(): string {
    return this.report.text("cgroup");
  }

  /** All output of a process up to its end, in order, or up to what `until` waits for. */
  async output(process = "main", until?: string): Promise<string> {
    let text = "";
    for (let after = 0; ; ) {
      const reply = await this.client.ask("OUTPUT", { process, after, "max-bytes": 786432, wait: 1 });
      expect(reply.name, reply.text("message")).toBe("RECORDS");
      text += reply.payload.toString();
      after = Number(reply.all("record").at(-1)?.split(" ")[0] ?? after);
      if (until !== undefined && text.includes(until)) return text;
      if (reply.number("ended") === 1 && after + 1 >= reply.number("next")) return text;
    }
  }

  input(text: string, values: Values = {}): Promise<Reply> {
    return this.client.ask("INPUT", { process: "main", ...values }, text);
  }

  /** EXEC of a line of bash, or of the `arg` given; the reply as it comes, and the name. */
  async exec(script: string, values: Values = {}): Promise<{ name: string; pid: number; reply: Reply }> {
    const name = (values["process"] as string | undefined) ?? `p${++this.#processes}`;
    const reply = await this.client.ask("EXEC", { process: name, arg: ["/bin/bash", "-c", script], ...usualExec, ...values });
    return { name, pid: reply.number("pid"), reply };
  }

  /** What a line of bash says, run to its end. */
  async says(script: string, values: Values = {}): Promise<string> {
    const { name, reply } = await this.exec(script, values);
    expect(reply.name, reply.text("message")).toBe("STARTED");
    return await this.output(name);
  }

  /** The report once it is gone. The event may have been sent before this connection was there, so it is asked. */
  gone(): Promise<Reply> {
    return eventually("gone", async () => {
      const report = await this.client.ask("ATTACH");
      return report.text("state") === "gone" && report;
    });
  }

  /** Waits for EXITED and GONE, releases, removes the files. Kills first, unless told to wait for its own end. */
  async end({ kill = true } = {}): Promise<{ exited: Reply; gone: Reply }> {
    const attached = await this.client.ask("ATTACH");
    if (kill) await this.client.ask("STOP", { "grace-ms": 0 });
    const gone = attached.text("state") === "gone" ? attached : await this.client.event("GONE");
    const exited = attached.text("state") === "running" ? await this.client.event("EXITED") : attached;
    expect(gone.text("complete")).toBe("1");
    expect((await this.client.ask("RELEASE")).name).toBe("DONE");
    await eventually("the supervisor ended", () => this.client.closed && !alive(this.supervisor));
    const removed = await this.launcher.client.ask("REMOVE", { id: this.id });
    expect(removed.name).toBe("REMOVED");
    return { exited, gone };
  }
}
