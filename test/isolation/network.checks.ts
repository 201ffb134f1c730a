import { existsSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { expect } from "vitest";
import type { Check } from "./check.ts";
import type { Outcomes, Stage } from "./stage.ts";

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
];
