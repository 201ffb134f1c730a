/** Entries and paths as the file agent speaks of them (supervisor/PROTOCOL.md). */
import type { Entry, EntryType, PlantedEntry, Segment } from "../domain/file-ports.ts";
import type { AgentField, AgentFrame } from "./file-agent-frames.ts";
import { ProtocolError } from "./protocol.ts";

export type Message = Exclude<AgentFrame, { name: "DATA" }>;

/** The bytes of a value, which frames hold as latin1. */
export const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");
const types: readonly string[] = ["file", "directory", "link", "fifo", "socket", "device"];

/** @throws ProtocolError */
const segmentsOf = (text: string): Segment[] =>
  text === ""
    ? []
    : text.split(",").map((part) => {
        const [, offset, length] = /^(\d{1,16})\+(\d{1,16})$/.exec(part) ?? [];
        if (offset === undefined) throw new ProtocolError("an entry with segments of no form");
        return { offset: Number(offset), length: Number(length) };
      });

/** @throws ProtocolError for an entry of no form */
export const entryOf = ({ fields }: Message): Entry => {
  const text = (key: string): string => {
    const value = fields.get(key);
    if (value === undefined) throw new ProtocolError(`an entry without ${key}`);
    return value;
  };
  const number = (key: string): number => {
    if (!/^-?\d{1,20}$/.test(text(key))) throw new ProtocolError(`an entry with a ${key} that is no number`);
    return Number(text(key));
  };
  const target = fields.get("target");
  const hardlink = fields.get("hardlink");
  const segments = fields.get("segments");
  if (!types.includes(text("type"))) throw new ProtocolError("an entry of an unknown type");
  return {
    name: bytesOf(text("path")),
    type: text("type") as EntryType,
    sizeBytes: number("size"),
    mode: number("mode"),
    uid: number("uid"),
    gid: number("gid"),
    modifiedMicroseconds: number("mtime-us"),
    links: number("links"),
    inode: text("inode"),
    hardlink: hardlink === undefined ? null : bytesOf(hardlink),
    target: target === undefined ? null : bytesOf(target),
    segments: segments === undefined ? null : segmentsOf(segments),
  };
};

export const plantedFields = ({ path, type, mode, uid, gid, modifiedMicroseconds, target, hardlink }: PlantedEntry): AgentField[] => [
  ["path", path],
  ["type", type],
  ["mode", mode],
  ["uid", uid],
  ["gid", gid],
  ["mtime-us", modifiedMicroseconds],
  ...(target === null ? [] : [["target", target] as const]),
  ...(hardlink === null ? [] : [["hardlink", hardlink] as const]),
];
