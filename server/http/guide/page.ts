import { Marked, type Tokens } from "marked";
import { addressOf, type Guide, guidePath, guides, textOf } from "./guides.ts";
import { hasPicture, pictureOf } from "./pictures.ts";

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** The id of a heading, as GitHub makes it from the text, so that links hold in both places. */
const slugOf = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-");

interface Heading {
  depth: number;
  id: string;
  text: string;
}

/** The guide as HTML, and its headings. Markup that it has itself is shown, not followed. */
const rendered = (file: string): { html: string; headings: Heading[] } => {
  const headings: Heading[] = [];
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth, text }: Tokens.Heading) {
        const plain = text.replaceAll(/[`*]/g, "");
        const base = slugOf(plain);
        const earlier = headings.filter(({ id }) => id === base || id.startsWith(`${base}-`)).length;
        const id = earlier === 0 ? base : `${base}-${earlier}`;
        headings.push({ depth, id, text: plain });
        return `<h${depth} id="${escaped(id)}"><a href="#${escaped(id)}">${this.parser.parseInline(tokens)}</a></h${depth}>\n`;
      },
      link({ href, tokens }: Tokens.Link) {
        const text = this.parser.parseInline(tokens);
        const address = addressOf(file, href);
        return address === null ? text : `<a href="${escaped(address)}">${text}</a>`;
      },
      html({ text }: Tokens.HTML | Tokens.Tag) {
        return escaped(text);
      },
      code({ text, lang }: Tokens.Code) {
        const picture = pictureOf(text);
        if (lang === "mermaid" && hasPicture(picture)) {
          const what = headings.at(-1)?.text ?? "";
          return `<figure><img src="${guidePath}/pictures/${picture}.svg" alt="Diagram: ${escaped(what)}"></figure>\n`;
        }
        const kind = lang === undefined || lang === "" ? "" : ` class="of-${escaped(lang)}"`;
        return `<pre tabindex="0"${kind}><code>${escaped(text)}</code></pre>\n`;
      },
      table({ header, rows, align }: Tokens.Table) {
        const cell = (tag: string, { tokens }: Tokens.TableCell, column: number) =>
          `<${tag}${align[column] === "right" ? ' class="right"' : ""}>${this.parser.parseInline(tokens)}</${tag}>`;
        const row = (tag: string, cells: Tokens.TableCell[]) =>
          `<tr>${cells.map((each, column) => cell(tag, each, column)).join("")}</tr>\n`;
        const body = rows.map((cells) => row("td", cells)).join("");
        return `<div class="table" tabindex="0"><table><thead>${row("th", header)}</thead><tbody>${body}</tbody></table></div>\n`;
      },
    },
  });
  return { html: marked.parse(textOf(file), { async: false }), headings };
};

const navigation = (current: string, headings: readonly Heading[]): string => {
  const sections = headings
    .filter(({ depth }) => depth === 2)
    .map(({ id, text }) => `<li><a href="#${escaped(id)}">${escaped(text)}</a></li>`)
    .join("");
  const entry = (name: string) => {
    const isCurrent = name === current;
    const link = `<a href="${guidePath}/${name}"${isCurrent ? ' aria-current="page"' : ""}>${escaped(guides[name]?.title ?? name)}</a>`;
    return `<li>${link}${isCurrent && sections !== "" ? `<ul>${sections}</ul>` : ""}</li>`;
  };
  return `<ul>${Object.keys(guides).map(entry).join("\n")}</ul>`;
};

const onward = (current: string): string => {
  const names = Object.keys(guides);
  const next = names[names.indexOf(current) + 1];
  return next === undefined ? "" : `<p class="next">Next: <a href="${guidePath}/${next}">${escaped(guides[next]?.title ?? next)}</a></p>`;
};

/** The page of a guide, by its name in `guides`. Nothing in it is fetched from elsewhere, and no script. */
export const pageOf = (name: string): string => {
  const { file, title } = guides[name] as Guide;
  const { html, headings } = rendered(file);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)} · unshared</title>
<link rel="stylesheet" href="${guidePath}/style.css">
</head>
<body>
<a class="skip" href="#content">To the text</a>
<header><a class="brand" href="/">unshared</a><nav aria-label="Documents"><a href="${guidePath}" aria-current="true">Guides</a><a href="/docs">API</a></nav></header>
<div class="columns">
<nav class="guides" aria-label="Guides">${navigation(name, headings)}</nav>
<main id="content">
${html}${onward(name)}</main>
</div>
</body>
</html>
`;
};
