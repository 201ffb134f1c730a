import type { FastifyRequest } from "fastify";
import { DomainError } from "../domain/errors.ts";

/** For routes that change what all sandboxes share, or read any file of the host. @throws DomainError `forbidden` */
export const adminOnly = async (request: FastifyRequest): Promise<void> => {
  if (request.scope !== "admin") throw new DomainError("forbidden", "this needs a token with the admin scope");
};
