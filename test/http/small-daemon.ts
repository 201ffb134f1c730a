import { Daemon } from "../fixtures/daemon.ts";

/** A daemon whose root `default` holds bash alone, on the unix socket and on a TCP port that the kernel chooses. */
export const startSmallDaemon = async (...flags: string[]): Promise<Daemon> => {
  const daemon = await Daemon.start("--ready-shells", "0", "--default-root", "off", "--listen", "127.0.0.1:0", ...flags);
  const root = { name: "default", source: { kind: "copy", binaries: ["/bin/bash", "/bin/sleep"] } };
  const { status, text } = await daemon.request("POST", "/v1/roots?wait=true", root);
  if (status === 201) return daemon;
  await daemon[Symbol.asyncDispose]();
  throw new Error(`no root: ${text}`);
};

/** The TCP port of the daemon, as its log tells it. */
export const tcpPort = (daemon: Daemon): number => {
  const entry = daemon.log.findLast((line) => line["msg"] === "listening") as { tcp: { port: number } };
  return entry.tcp.port;
};
