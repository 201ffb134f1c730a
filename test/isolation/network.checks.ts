import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { expect } from "vitest";
import { until } from "../fixtures/processes.ts";
import type { Check } from "./check.ts";
import { type Outcomes, outcomesOf, type Stage } from "./stage.ts";

/** Whom a sandbox has no business to know of: the host, clouds' metadata, private networks, name servers. */
const addresses = (): string[] => [
  ...Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, address }) => !internal && !address.includes("%") && !address.startsWith("fe80"))
    .map(({ address }) => address),
  "169.254.169.254",
  "fd00:ec2::254",
  "10.0.0.1",
  "172.17.0.1",
  "192.168.0.1",
  "fd00::1",
  "8.8.8.8",
  "2001:4860:4860::8888",
  "::ffff:8.8.8.8",
  "224.0.0.1",
];

const look = (stage: Stage, use: (found: Outcomes, way: string) => void) =>
  stage.everywhere(["network", String(stage.port()), stage.host.daemon.socket, ...addresses()], use);

export const networkChecks: Check[] = [
  {
    number: 47,
    title: "there is lo and no route: no address of the host, of a cloud, a private network or a name server",
    red: ["no-net"],
    async run(stage) {
      await look(stage, (found, way) => {
        expect(
          Object.keys(found).filter((name) => name.startsWith("interface ")),
          way,
        ).toEqual(["interface lo"]);
        expect([way, found["routes"]]).toEqual([way, "0"]);
        for (const address of addresses())
          expect(`${way}: ${address}: ${found[`route to ${address}`]}`).toMatch(/: (ENETUNREACH|EADDRNOTAVAIL)$/);
      });
      return `${addresses().length} addresses`;
    },
  },
  {
    number: 48,
    title: "the daemon's port, its socket and the names of abstract sockets are not to be reached",
    red: ["no-net"],
    async run(stage) {
      expect(stage.port()).toBeGreaterThan(0);
      expect(existsSync(stage.host.daemon.socket)).toBe(true);
      await look(stage, (found, way) =>
        expect(found, way).toMatchObject({
          "stream 127.0.0.1": "ECONNREFUSED",
          "stream ::1": "ECONNREFUSED",
          "the daemon's socket": "ENOENT",
          "unix sockets": "0",
        }),
      );
      return undefined;
    },
  },
  {
    number: 49,
    title:
      "no spelling of an address leads to the host; no address, link, route, ARP entry, mark or forged source is made, and no raw socket",
    red: ["no-net", "caps-kept"],
    async run(stage) {
      const port = stage.port();
      const own = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "017700000001",
        "0x7f.1",
        "0",
        "127.77.77.77",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
      ];
      const host = addresses().find((address) => /^\d+(\.\d+){3}$/.test(address)) ?? "10.0.0.1";
      const number = host.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
      const foreign = [host, String(number), `0x${number.toString(16)}`, `0${number.toString(8)}`, `::ffff:${host}`];
      await stage.everywhere(["forging", String(port), ...own, ...foreign], (found, way) => {
        for (const address of own)
          expect(`${way}: ${address}: ${found[`reach ${address}`]}`).toMatch(/: (ECONNREFUSED|EINPROGRESS|EADDRNOTAVAIL|ENETUNREACH)$/);
        for (const address of foreign) expect(`${way}: ${address}: ${found[`reach ${address}`]}`).toMatch(/: ENETUNREACH$/);
        const made = [
          "add an address",
          "change a link",
          "set flags",
          "set ARP",
          "add a route",
          "mark",
          "transparent",
          "raw",
          "raw v6",
          "packet",
          "DHCP",
        ];
        for (const what of made) expect(`${way}: ${what}: ${found[what]}`).toMatch(/: (EPERM|EACCES|EAFNOSUPPORT)$/);
      });
      return `${own.length + foreign.length} spellings, 11 changes`;
    },
  },
  {
    number: 50,
    title:
      "the host has no link, address, route, rule, socket, name or setting more or less for a sandbox that listens everywhere, nor can reach it",
    red: ["no-net"],
    async run(stage) {
      const name = `unshared-listener-${process.pid}`;
      const before = hostNetwork();
      await stage.sandbox({ name: "listener", command: ["/probes/listener", name] });
      try {
        const said = await until(
          "it listens",
          async () => (await stage.logOf("listener")).includes("udp: ") && stage.logOf("listener"),
          20_000,
        );
        const { tcp, udp, abstract } = outcomesOf(said);
        expect([abstract, Number(tcp) > 0, Number(udp) > 0]).toEqual(["ok", true, true]);
        const { pid } = (await stage.host.report("listener")).process;
        expect(socketsOf(pid, "tcp6")).toContain(Number(tcp)); // and there it is seen
        const table = (kind: string) => readFileSync(`/proc/self/net/${kind}`, "utf8");
        expect(table("unix").includes(`@${name}`)).toBe(false);
        expect([ownerOf("tcp6", Number(tcp), pid), ownerOf("udp6", Number(udp), pid)]).toEqual([false, false]);
        expect(hostNetwork()).toEqual(before);
      } finally {
        await stage.host.request("DELETE", "/v1/sandboxes/listener");
      }
      expect(hostNetwork()).toEqual(before);
      return `${Object.keys(before).length} settings and tables`;
    },
  },
];

/** Local ports in a process's network namespace. */
const socketsOf = (pid: number | "self", table: string): number[] =>
  readFileSync(`/proc/${pid}/net/${table}`, "utf8")
    .split("\n")
    .slice(1)
    .filter((line) => line !== "")
    .map((line) => Number.parseInt(line.trim().split(/\s+/)[1]?.split(":").at(-1) ?? "", 16));

/** Whether a socket of that port in the host's table is the process's: others may have the same port there. */
const ownerOf = (table: string, port: number, pid: number): boolean => {
  const inodes = readFileSync(`/proc/self/net/${table}`, "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => Number.parseInt(fields[1]?.split(":").at(-1) ?? "", 16) === port)
    .map((fields) => `socket:[${fields[9]}]`);
  return readdirSync(`/proc/${pid}/fd`).some((fd) => inodes.includes(readlinkSync(`/proc/${pid}/fd/${fd}`)));
};

/** Links, addresses, routes, rules and settings of the host; its loopback sockets are everybody's. */
const hostNetwork = (): Record<string, string> => {
  const settings = (readdirSync("/proc/sys/net", { recursive: true }) as string[]).filter(
    (path) => /^(core|ipv4|ipv6|unix)\//.test(path) && !/neigh\/|flush|count|stable_secret|route\/|rand/.test(path),
  );
  const text = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: "utf8" }).stdout ?? "";
  return {
    links: text("ip", "-o", "link"),
    addresses: text("ip", "-o", "address").replaceAll(/valid_lft \S+ preferred_lft \S+/g, ""),
    routes: text("ip", "route", "show", "table", "all"),
    rules: text("nft", "list", "ruleset"),
    ...Object.fromEntries(settings.map((path) => [path, readOr(`/proc/sys/net/${path}`)])),
  };
};

const readOr = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
};
