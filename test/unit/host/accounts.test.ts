import { expect, it } from "vitest";
import { numberedRules } from "../../../server/host/accounts.ts";
import { DirectoryError } from "../../../server/host/directories.ts";

const grant = { scope: "run", seesAll: false, quotas: { sandboxes: 1 } } as const;

it("gives rules the numbers of the host's own names, and leaves numbers as they are", () => {
  const rules = numberedRules([
    { kind: "uid", name: "daemon", ...grant },
    { kind: "gid", name: "tty", ...grant },
    { kind: "uid", name: "4000000000", ...grant },
  ]);
  expect(rules).toEqual([
    { kind: "uid", id: 1, ...grant },
    { kind: "gid", id: 5, ...grant },
    { kind: "uid", id: 4_000_000_000, ...grant },
  ]);
});

it("refuses a name that is no user, or no group", () => {
  for (const [kind, name, file] of [
    ["uid", "tty", "/etc/passwd"],
    ["gid", "no-such-group", "/etc/group"],
  ] as const)
    expect(() => numberedRules([{ kind, name, ...grant }]), name).toThrow(
      expect.objectContaining({ constructor: DirectoryError, message: expect.stringContaining(file) }),
    );
});
