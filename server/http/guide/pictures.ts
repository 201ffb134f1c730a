import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";

const folder = resolve(import.meta.dirname, "../../../docs/pictures");

/** The name of the picture of a Mermaid block, which another text does not have; script/pictures.ts draws it. */
export const pictureOf = (text: string): string => createHash("sha256").update(text.trim()).digest("hex").slice(0, 16);

/** @param name as of `pictureOf` */
export const hasPicture = (name: string): boolean => /^[0-9a-f]{16}$/.test(name) && existsSync(`${folder}/${name}.svg`);

/** The picture as SVG. */
export const pictureText = (name: string): string => readFileSync(`${folder}/${name}.svg`, "utf8");
