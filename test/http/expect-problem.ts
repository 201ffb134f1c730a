import { expect } from "vitest";
import { documentedCodes } from "./contract.ts";

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text?: string;
  body: unknown;
}

export interface ProblemBody {
  type: string;
  code: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  retryable: boolean;
  errors?: { pointer: string; detail: string }[];
  /** Members that some codes add. */
  [member: string]: unknown;
}

/** Holds the answer to be a whole problem document of a documented code with this status, and gives it. */
export const expectProblem = (answer: Answer | null, status: number | readonly number[], note = ""): ProblemBody => {
  if (answer === null) throw new Error(`${note}: the connection was closed without an answer`);
  const problem = (typeof answer.body === "string" ? JSON.parse(answer.body) : answer.body) as ProblemBody;
  const where = `${note} ${answer.status} ${JSON.stringify(problem)?.slice(0, 600)}`;
  expect([status].flat(), where).toContain(answer.status);
  expect(answer.headers["content-type"], where).toMatch(/^application\/problem\+json\b/);
  expect(documentedCodes, where).toContain(problem.code);
  expect(problem, where).toMatchObject({
    type: `/problems/${problem.code}`,
    status: answer.status,
    title: expect.stringMatching(/./),
    detail: expect.stringMatching(/./),
    instance: expect.stringMatching(/^\//),
    retryable: expect.any(Boolean),
  });
  return problem;
};
