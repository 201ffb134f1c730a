import { expect, test } from "vitest";
import type { Scope } from "../../server/domain/callers.ts";
import type { DefinitionInput } from "../../server/domain/definition.ts";
import { completeDefinition, environmentOf } from "../../server/domain/definitions.ts";
import { DomainError } from "../../server/domain/errors.ts";
import { LimitPolicy } from "../../server/domain/limits.ts";
import { namespaceWarnings } from "../../server/domain/namespace-rules.ts";

const complete = (input: DefinitionInput, scope: Scope = "admin") => completeDefinition(input, "fallback", scope, new LimitPolicy());

const refusal = (input: DefinitionInput, scope: Scope = "admin"): DomainError => {
  try {
    complete(input, scope);
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
  throw new Error("was not refused");
};

test("{} is a bash in the default root with every namespace but time", () => {
  const definition = complete({});
  expect(definition).toMatchObject({
    name: "fallback",
    hostname: "fallback",
    root: "default",
    command: ["/bin/bash"],
    cwd: "/",
    init: true,
    tty: false,
  });
  expect(Object.entries(definition.namespaces).filter(([, own]) => !own)).toEqual([["time", false]]);
  expect(definition.limits).toEqual({
    memoryBytes: null,
    cpus: null,
    cpuWeight: 100,
    pids: 512,
    diskBytes: null,
    openFiles: 1024,
    outputBytes: 1_048_576,
  });
});

test("the hostname is the name unless given", () => {
  expect(complete({ name: "web-1" }).hostname).toBe("web-1");
  expect(complete({ name: "web-1", hostname: "other" }).hostname).toBe("other");
});

test.each<[string, DefinitionInput, string]>([["a network", { network: { mode: "nat" as "none" } }, "/network/mode"]])(
  "%s is said to be unsupported, not ignored",
  (_what, input, pointer) => {
    const error = refusal(input);
    expect(error.code).toBe("unsupported");
    expect(error.faults.map((fault) => fault.pointer)).toEqual([pointer]);
  },
);

test("neutral values of what is not supported are taken", () => {
  const input: DefinitionInput = {
    network: { mode: "none" },
  };
  expect(complete(input)).toMatchObject(input);
});

test("by itself it neither ends nor starts; a policy has 3 retries, and always has no end", () => {
  const { restart, autostart, lifetime } = complete({});
  expect([restart, autostart]).toEqual([{ policy: "never", maxRetries: 3 }, false]);
  expect(lifetime).toEqual({ ttlSeconds: null, idleSeconds: null, onExpiry: "delete" });
  expect(complete({ restart: { policy: "on-failure" } }).restart.maxRetries).toBe(3);
  expect(complete({ restart: { policy: "always" } }).restart.maxRetries).toBeNull();
  expect(complete({ restart: { policy: "always", maxRetries: 0 } }).restart.maxRetries).toBe(0);
  expect(complete({ restart: { policy: "on-failure", maxRetries: null } }).restart.maxRetries).toBeNull();
});

test.each<[string, DefinitionInput, string]>([
  ["a relative cwd", { cwd: "etc" }, "/cwd"],
  ["a disk without a mount namespace", { namespaces: { mount: false }, limits: { diskBytes: 2 ** 26 } }, "/limits/diskBytes"],
  ["no process but init", { limits: { pids: 1 } }, "/limits/pids"],
  ["an empty command", { command: [""] }, "/command/0"],
  ["arguments beyond what can be passed", { command: Array.from({ length: 5 }, () => "x".repeat(110_000)) }, "/command"],
])("refuses %s", (_what, input, pointer) => {
  const error = refusal(input);
  expect(error.code).toBe("invalid-definition");
  expect(error.faults.map((fault) => fault.pointer)).toEqual([pointer]);
});

test.each<[string, DefinitionInput, string]>([
  ["a root without a mount namespace", { root: "bash", namespaces: { mount: false } }, "/root"],
  ["neither a user nor a mount namespace", { namespaces: { user: false, mount: false } }, "/namespaces/user"],
  ["capabilities without a user namespace", { namespaces: { user: false }, capabilities: ["CAP_CHOWN"] }, "/capabilities"],
  ["a hostname without a uts namespace", { namespaces: { uts: false }, hostname: "x" }, "/hostname"],
  ["an init without a pid namespace", { namespaces: { pid: false }, init: true }, "/init"],
])("refuses %s, with its reason", (_what, input, pointer) => {
  const error = refusal(input);
  expect(error.code).toBe("namespace-combination");
  expect(error.faults.map((fault) => fault.pointer)).toEqual([pointer]);
  expect(error.faults[0]?.detail.length).toBeGreaterThan(20);
});

test.each(["mount", "uts", "ipc", "net", "pid", "user", "cgroup"] as const)(
  "sharing the host's %s namespace needs the admin scope and is warned of",
  (key) => {
    const error = refusal({ namespaces: { [key]: false } }, "run");
    expect(error.code).toBe("forbidden");
    expect(error.faults).toEqual([{ pointer: `/namespaces/${key}`, detail: "needs the admin scope" }]);
    const warnings = namespaceWarnings(complete({ namespaces: { [key]: false } }));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`shares the host's ${key} namespace`);
  },
);

test("what depends on a shared namespace follows it", () => {
  expect(complete({ namespaces: { pid: false } }).init).toBe(false);
  expect(complete({ namespaces: { uts: false } }).hostname).toBeNull();
  expect(complete({ namespaces: { mount: false } }).root).toBeNull();
});

test("PATH and HOME are there unless given, TERM with a terminal", () => {
  expect(environmentOf(complete({}))).toEqual(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]);
  expect(environmentOf(complete({ user: { uid: 5 } }))).toContain("HOME=/");
  expect(environmentOf(complete({ env: { PATH: "/x", A: "b=c" }, tty: true }))).toEqual([
    "PATH=/x",
    "HOME=/root",
    "TERM=xterm-256color",
    "A=b=c",
  ]);
});
