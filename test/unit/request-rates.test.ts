import { expect, it } from "vitest";
import { DomainError } from "../../server/domain/errors.ts";
import { RequestRates } from "../../server/http/request-rates.ts";

it("takes a burst, then the rate, and says when to come again", () => {
  const rates = new RequestRates();
  for (let n = 0; n < 10; n += 1) rates.take("a", 5, 1_000);
  expect(() => rates.take("a", 5, 1_000)).toThrow(
    expect.objectContaining({ code: "too-many-requests", members: { quota: "requestsPerSecond", limit: 5, retryAfterSeconds: 1 } }),
  );
  expect(() => rates.take("a", 5, 1_100)).toThrow(DomainError);
  rates.take("a", 5, 1_200);
  expect(() => rates.take("a", 5, 1_200)).toThrow(DomainError);
});

it("remembers nobody who has been quiet for the time of a burst, whether or not the token still exists", () => {
  const rates = new RequestRates();
  for (let n = 0; n < 1_000; n += 1) rates.take(`token-${n}`, 1, n);
  expect(rates.size).toBe(1_000);
  rates.take("token-0", 1, 1_500);
  rates.take("other", 1, 2_500);
  // Those of 500 and less are full again, all but the one that asked once more.
  expect(rates.size).toBe(1_000 - 501 + 1 + 1);
  rates.take("other", 1, 60_000);
  expect(rates.size).toBe(1);
});

it("gives who was forgotten no more than a full burst", () => {
  const rates = new RequestRates();
  for (let n = 0; n < 4; n += 1) rates.take("a", 2, 0);
  rates.take("b", 2, 2_000);
  for (let n = 0; n < 4; n += 1) rates.take("a", 2, 2_000);
  expect(() => rates.take("a", 2, 2_000)).toThrow(DomainError);
});
