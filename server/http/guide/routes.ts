import { readFileSync } from "node:fs";
import type { FastifyInstance, FastifyReply } from "fastify";
import { DomainError } from "../../domain/errors.ts";
import { attachments, guidePath, guides, textOf } from "./guides.ts";
import { hasPicture, pictureText } from "./pictures.ts";

/** Pages of text: they load a style sheet and pictures of this daemon, run nothing, and are shown in no frame. */
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Pictures carry their own styles, and nothing else. */
const picturePolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

const send = (reply: FastifyReply, type: string, text: string): FastifyReply =>
  reply
    .type(`${type}; charset=utf-8`)
    .headers({
      "content-security-policy": policy,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "max-age=300",
    })
    .send(text);

/** The guides of docs/, rendered when they are first asked for. */
export const guideRoutes = (app: FastifyInstance): void => {
  const options = { config: { open: true }, schema: { hide: true } };
  const pages = new Map<string, string>();
  const page = async (name: string): Promise<string> => {
    const known = pages.get(name);
    if (known !== undefined) return known;
    // Few daemons are asked for their guides: the others start without what renders them.
    const made = (await import("./page.ts")).pageOf(name);
    pages.set(name, made);
    return made;
  };

  app.get(guidePath, options, async (_request, reply) => reply.redirect(`${guidePath}/${Object.keys(guides)[0]}`));
  app.get(`${guidePath}/style.css`, options, async (_request, reply) =>
    send(reply, "text/css", readFileSync(`${import.meta.dirname}/style.css`, "utf8")),
  );
  app.get(`${guidePath}/pictures/:name.svg`, options, async (request, reply) => {
    const { name } = request.params as { name: string };
    if (!hasPicture(name)) throw new DomainError("not-found", "no picture has this name");
    return send(reply, "image/svg+xml", pictureText(name)).header("content-security-policy", picturePolicy);
  });
  app.get(`${guidePath}/:name`, options, async (request, reply) => {
    const { name } = request.params as { name: string };
    if (Object.hasOwn(guides, name)) return send(reply, "text/html", await page(name));
    if (Object.hasOwn(attachments, name)) return send(reply, "text/plain", textOf(attachments[name] as string));
    throw new DomainError("not-found", "no guide has this name");
  });
};
