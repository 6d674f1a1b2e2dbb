import type { GraphQLFormattedError } from "graphql";

/** The values of `extensions.code`. docs/api.md describes each. */
export const ERROR_CODES = [
  "UNAUTHENTICATED",
  "FORBIDDEN",
  "SECOND_FACTOR_ENROLLMENT_REQUIRED",
  "RATE_LIMITED",
  "SERVICE_UNAVAILABLE",
  "INTERNAL_SERVER_ERROR",
  "BAD_USER_INPUT",
  "BAD_REQUEST",
  "GRAPHQL_PARSE_FAILED",
  "GRAPHQL_VALIDATION_FAILED",
  "OPERATION_RESOLUTION_FAILURE",
  "QUERY_TOO_COMPLEX",
  "PAYLOAD_TOO_LARGE",
  "PERSISTED_QUERY_NOT_SUPPORTED",
] as const;

/** A code of a GraphQL error. */
export type ErrorCode = (typeof ERROR_CODES)[number];

const REASONS = ["MISSING", "INVALID", "EXPIRED", "REVOKED", "DISABLED"] as const;

/** Reason for the code `UNAUTHENTICATED`. */
export type UnauthenticatedReason = (typeof REASONS)[number];

/** The response to one document. */
export interface GraphQLResult<TData = unknown> {
  /** The data; null or missing if no part of the operation succeeded. */
  data?: TData | null | undefined;
  /** The errors; `data` may be present in addition. */
  errors?: readonly GraphQLFormattedError[] | undefined;
}

/** Status and headers of an HTTP response. */
export interface HttpFacts {
  /** HTTP status. */
  readonly status: number;
  /** Id of the request in the log of the service, from the header `x-request-id`. */
  readonly requestId: string | undefined;
  /** Seconds to wait before a retry, from the header `Retry-After`. */
  readonly retryAfter: number | undefined;
}

/** A result with the HTTP response that contained it. */
export interface Received<TData = unknown> {
  readonly result: GraphQLResult<TData>;
  readonly http: HttpFacts;
}

/** GraphQL errors: not signed in, not allowed, an invalid request, a rate limit, or an internal error. */
export class VestibuleError extends Error {
  override readonly name = "VestibuleError";
  /** Code of the first error; `UNKNOWN` for a code of a newer service. */
  readonly code: ErrorCode | "UNKNOWN";
  /** Reason for the code `UNAUTHENTICATED`. */
  readonly reason: UnauthenticatedReason | undefined;
  /** HTTP status; undefined for errors of subscriptions. */
  readonly status: number | undefined;
  /** Id of the request in the log of the service. */
  readonly requestId: string | undefined;
  /** Seconds to wait before a retry, for the codes `RATE_LIMITED` and `SERVICE_UNAVAILABLE`. */
  readonly retryAfter: number | undefined;

  constructor(
    /** The errors as received. */
    readonly errors: readonly GraphQLFormattedError[],
    /** The data received with the errors. */
    readonly data: unknown = null,
    http?: HttpFacts,
  ) {
    super(errors[0]?.message ?? "The service returned an error.");
    const extensions = errors[0]?.extensions;
    const requestId = extensions?.["requestId"];
    this.code = known(ERROR_CODES, extensions?.["code"]) ?? "UNKNOWN";
    this.reason = known(REASONS, extensions?.["reason"]);
    this.status = http?.status;
    this.requestId = typeof requestId === "string" ? requestId : http?.requestId;
    this.retryAfter = delayOf(errors, http);
  }
}

/** The service could not be reached, or the response was not from the service. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  /** HTTP status; undefined without a response. */
  readonly status: number | undefined;
  /** Id of the request, if the response has one. */
  readonly requestId: string | undefined;
  /** Seconds to wait before a retry, if the response says so. */
  readonly retryAfter: number | undefined;

  constructor(message: string, options: { cause?: unknown; http?: HttpFacts } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.status = options.http?.status;
    this.requestId = options.http?.requestId;
    this.retryAfter = options.http?.retryAfter;
  }
}

/** Returns the error for a result that has errors, or no data. */
export function errorOf({ result, http }: Received): VestibuleError {
  return new VestibuleError(result.errors ?? [], result.data, http);
}

/** Returns the seconds to wait before a retry, if errors ask for it. */
export function delayOf(errors: readonly GraphQLFormattedError[], http?: HttpFacts): number | undefined {
  const temporary = errors.filter(({ extensions }) => {
    const code = extensions?.["code"];
    return code === "RATE_LIMITED" || code === "SERVICE_UNAVAILABLE";
  });
  if (temporary.length === 0) return undefined;
  const delays = temporary.map(({ extensions }) => extensions?.["retryAfter"]);
  const seconds = delays.filter((delay) => typeof delay === "number");
  return seconds.length > 0 ? Math.max(...seconds) : http?.retryAfter;
}

/** True if the credential was not accepted: the only case in which a refresh helps. */
export function isUnauthenticated(result: GraphQLResult): boolean {
  return result.errors?.some((error) => error.extensions?.["code"] === "UNAUTHENTICATED") ?? false;
}

/** The error that the service returns to a client that is signed out. */
export function signedOutError(): VestibuleError {
  return new VestibuleError([
    { message: "You need to sign in.", extensions: { code: "UNAUTHENTICATED", reason: "MISSING" } },
  ]);
}

/** The error for calls after `close`. */
export function closedError(): ConnectionError {
  return new ConnectionError("This client is closed. Create another one.");
}

function known<T extends string>(values: readonly T[], value: unknown): T | undefined {
  return values.find((candidate) => candidate === value);
}
