import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ConnectionError,
  CreateApiTokenDocument,
  createVestibuleClient,
  ERROR_CODES,
  type ErrorCode,
  MeDocument,
  RecentSamplesDocument,
  UpdateMeDocument,
  type VestibuleClient,
  VestibuleError,
} from "../src";
import { Browser, operationName } from "./browser";
import { ADMIN, type Service, startService } from "./service";

describe("errors of the service", () => {
  let service: Service;
  let client: VestibuleClient;
  /** Status and id of the last response to each operation, as sent. */
  const sent = new Map<string, [status: number, requestId: string | null]>();

  beforeAll(async () => {
    service = await startService({ VESTIBULE_LIMIT_SIGN_IN: "1/15m" });
    const browser = new Browser();
    client = createVestibuleClient({
      url: service.url,
      fetch: async (url, init) => {
        const response = await browser.fetch(url, init);
        sent.set(operationName(init), [response.status, response.headers.get("x-request-id")]);
        return response;
      },
    });
  });
  afterAll(async () => {
    await client.close();
    service.stop();
  });

  /** The error of a call, which must fail. */
  async function failure(operation: string, call: Promise<unknown>): Promise<VestibuleError> {
    const error = await call.catch((reason: unknown) => reason);
    if (!(error instanceof VestibuleError)) throw new Error("expected an error of the service", { cause: error });
    expect(error.requestId).toEqual(expect.any(String));
    expect([error.status, error.requestId]).toEqual(sent.get(operation));
    return error;
  }

  test("have the code FORBIDDEN for a token without the scope", async () => {
    const staff = createVestibuleClient({ url: service.url, fetch: new Browser().fetch });
    await staff.signIn(ADMIN);
    const input = { name: "reader", scopes: ["READ" as const] };
    const { createApiToken } = await staff.request(CreateApiTokenDocument, { input });
    await staff.close();
    const headers = { authorization: `Bearer ${createApiToken?.secret ?? ""}` };
    const { errors } = await client.execute(UpdateMeDocument, { input: {} }, { headers });
    expect(errors?.[0]?.extensions?.["code"]).toBe("FORBIDDEN");
  });

  test("have code, reason, status and request id", async () => {
    const error = await failure("Me", client.request(MeDocument));
    expect([error.code, error.reason, error.status]).toEqual(["UNAUTHENTICATED", "MISSING", 200]);

    const wrong = { ...ADMIN, password: "not the password" };
    expect((await client.signIn(wrong)).errors).toHaveLength(1);
    const limited = await failure("Login", client.signIn(wrong));
    expect(limited.code).toBe("RATE_LIMITED");
    expect(limited.retryAfter).toBeGreaterThan(60);
  });

  test("have a status that is an error if nothing was executed", async () => {
    const wrong = client.request(RecentSamplesDocument, { first: "many" as never });
    const invalid = await failure("RecentSamples", wrong);
    expect([invalid.code, invalid.status]).toEqual(["BAD_USER_INPUT", 400]);
    const large = client.request(UpdateMeDocument, { input: { bio: "x".repeat(200_000) } });
    const long = await failure("UpdateMe", large);
    expect([long.code, long.status]).toEqual(["PAYLOAD_TOO_LARGE", 413]);
  });

  test("have a code of the list, whatever is wrong with the document", async () => {
    const aliases = Array.from({ length: 600 }, (_, index) => `a${String(index)}: __typename`).join(" ");
    const documents: [ErrorCode, string][] = [
      ["GRAPHQL_PARSE_FAILED", "query {"],
      ["GRAPHQL_VALIDATION_FAILED", "{ nothing }"],
      ["OPERATION_RESOLUTION_FAILURE", "query One { __typename } query Two { __typename }"],
      ["QUERY_TOO_COMPLEX", `{ ${aliases} }`],
    ];
    for (const [code, document] of documents) {
      const { errors } = await client.execute(document);
      const [status] = sent.get(operationName({ body: document })) ?? [];
      expect([errors?.[0]?.extensions?.["code"], status]).toEqual([code, 400]);
    }
    const { errors } = await client.execute("{ __typename }", [1]);
    expect([errors?.[0]?.extensions?.["code"], sent.get("")?.[0]]).toEqual(["BAD_REQUEST", 400]);
  });
});

test("the codes are those of docs/api.md", () => {
  const text = readFileSync(new URL("../../../docs/api.md", import.meta.url), "utf8");
  const table = /^\| `extensions\.code` .*\n((?:\|.*\n)+)/m.exec(text)?.[1] ?? "";
  const cells = table.split("\n").map((row) => row.split("|")[1] ?? "");
  const codes = cells.flatMap((cell) => [...cell.matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code));
  expect(codes.sort()).toEqual([...ERROR_CODES].sort());
});

test("the codes are types", () => {
  const { code } = new VestibuleError([{ message: "No.", extensions: { code: "FORBIDDEN" } }]);
  expect(code === "FORBIDDEN").toBe(true);
  // @ts-expect-error the service has no such code
  expect(code === "NOT_A_CODE").toBe(false);
});

test("the delay is the longest of the errors, or that of the header", () => {
  const limited = (retryAfter?: number) => ({ message: "Wait.", extensions: { code: "RATE_LIMITED", retryAfter } });
  const http = { status: 200, requestId: undefined, retryAfter: 3 };
  expect(new VestibuleError([limited(5), limited(9), limited()], null, http).retryAfter).toBe(9);
  expect(new VestibuleError([limited()], null, http).retryAfter).toBe(3);
  expect(new VestibuleError([{ message: "No.", extensions: { code: "FORBIDDEN" } }], null, http).retryAfter).toBeUndefined();
});

test("a code or reason of a newer service is unknown, and kept in the errors", () => {
  const error = new VestibuleError([{ message: "Tea only.", extensions: { code: "I_AM_A_TEAPOT", reason: "COLD" } }]);
  expect([error.code, error.reason, error.message]).toEqual(["UNKNOWN", undefined, "Tea only."]);
  expect(error.errors[0]?.extensions?.["code"]).toBe("I_AM_A_TEAPOT");
});

describe("a response that is not of the service", () => {
  async function failure(response: Response): Promise<ConnectionError> {
    const client = createVestibuleClient({ url: "http://127.0.0.1:1/graphql", fetch: () => Promise.resolve(response) });
    const error = await client.request(MeDocument).catch((reason: unknown) => reason);
    if (!(error instanceof ConnectionError)) throw new Error("expected a failed connection", { cause: error });
    return error;
  }

  test("has status and request id", async () => {
    const response = new Response("<h1>Bad gateway</h1>", { status: 502, headers: { "x-request-id": "abc" } });
    const error = await failure(response);
    expect([error.status, error.requestId, error.retryAfter]).toEqual([502, "abc", undefined]);
  });

  test("has the delay of its header, in seconds or as a date", async () => {
    const date = new Date(Date.now() + 100_000).toUTCString();
    for (const [header, seconds] of [["90", 90], [date, 100], ["soon", undefined]] as const) {
      const { retryAfter } = await failure(new Response("", { status: 503, headers: { "retry-after": header } }));
      if (seconds === undefined) expect(retryAfter).toBeUndefined();
      else expect(Math.abs((retryAfter ?? 0) - seconds)).toBeLessThanOrEqual(2);
    }
  });
});
