/**
 * Draws the Mermaid blocks of docs/ as docs/pictures/NAME.svg, which the daemon shows with its guides; NAME is made of the block's text.
 * Only whoever changes a block needs it: npm install --no-save mermaid, and Debian's chromium.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { chromium } from "playwright-core";
import { guides, textOf } from "../server/http/guide/guides.ts";
import { pictureOf } from "../server/http/guide/pictures.ts";

const folder = resolve(import.meta.dirname, "../docs/pictures");
const settings = { startOnLoad: false, theme: "neutral", fontFamily: "sans-serif", htmlLabels: false, flowchart: { htmlLabels: false } };

/** The texts of the Mermaid blocks of a guide. */
const blocksOf = (file: string): string[] => [...textOf(file).matchAll(/^```mermaid\n(.*?)\n```$/gms)].map(([, text = ""]) => text);

/** Mermaid's are as wide as the place they are put in. */
const ofItsOwnSize = (svg: string): string => {
  const [, width, height] = /viewBox="\S+ \S+ (\S+) (\S+)"/.exec(svg) ?? [];
  return svg.replace(/ width="100%"/, ` width="${Math.ceil(Number(width))}" height="${Math.ceil(Number(height))}"`);
};

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
try {
  const page = await browser.newPage();
  await page.addScriptTag({ path: createRequire(import.meta.url).resolve("mermaid/dist/mermaid.min.js") });
  await page.evaluate(`mermaid.initialize(${JSON.stringify(settings)})`);
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) rmSync(`${folder}/${name}`);
  const blocks = Object.values(guides).flatMap(({ file }) => blocksOf(file));
  for (const text of blocks) {
    // An id of its own for each: the styles inside are bound to it.
    const name = pictureOf(text);
    const svg = String(await page.evaluate(`mermaid.render("picture-${name}", ${JSON.stringify(text)}).then(({ svg }) => svg)`));
    writeFileSync(`${folder}/${name}.svg`, `${ofItsOwnSize(svg)}\n`);
    console.log(`${name}.svg`);
  }
} finally {
  await browser.close();
}
