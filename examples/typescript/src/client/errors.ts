import type { GraphQLFormattedError } from "graphql";

/** The response to one document. */
export interface GraphQLResult<TData = unknown> {
  /** The data; null or missing if no part of the operation succeeded. */
  data?: TData | null;
  /** The errors; `data` may be present in addition. */
  errors?: readonly GraphQLFormattedError[];
}

/** GraphQL errors: not signed in, not allowed, an invalid request, a rate limit, or an internal error. */
export class VestibuleError extends Error {
  override readonly name = "VestibuleError";

  constructor(
    /** The errors as received. */
    readonly errors: readonly GraphQLFormattedError[],
    /** The data received with the errors. */
    readonly data: unknown = null,
  ) {
    super(errors[0]?.message ?? "The service returned an error.");
  }

  /** The code of the first error, such as `FORBIDDEN`. */
  get code(): string | undefined {
    return text(this.errors[0]?.extensions?.["code"]);
  }

  /** Reason for the code `UNAUTHENTICATED`. */
  get reason(): string | undefined {
    return text(this.errors[0]?.extensions?.["reason"]);
  }

  /** Seconds to wait before a retry, for the codes `RATE_LIMITED` and `SERVICE_UNAVAILABLE`. */
  get retryAfter(): number | undefined {
    const seconds = this.errors[0]?.extensions?.["retryAfter"];
    return typeof seconds === "number" ? seconds : undefined;
  }
}

/** The service could not be reached, or the response was not from the service. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

/** True if the credential was not accepted: the only case in which a refresh helps. */
export function isUnauthenticated(result: GraphQLResult): boolean {
  return result.errors?.some((error) => error.extensions?.["code"] === "UNAUTHENTICATED") ?? false;
}

/** The errors that the service returns to a client that is signed out. */
export function signedOutError(): VestibuleError {
  return new VestibuleError([
    { message: "You need to sign in.", extensions: { code: "UNAUTHENTICATED", reason: "MISSING" } },
  ]);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
