import type { GraphQLFormattedError } from "graphql";

/** What the service answers to one document. */
export interface GraphQLResult<TData = unknown> {
  /** The data; null or missing where nothing could be had. */
  data?: TData | null;
  /** What went wrong; data may be there besides. */
  errors?: readonly GraphQLFormattedError[];
}

/** The service answered with errors: not signed in, not allowed, a malformed request, a limit, a fault of its own. */
export class VestibuleError extends Error {
  override readonly name = "VestibuleError";

  constructor(
    /** The errors as they came. */
    readonly errors: readonly GraphQLFormattedError[],
    /** What data came besides. */
    readonly data: unknown = null,
  ) {
    super(errors[0]?.message ?? "The service answered with an error.");
  }

  /** The code of the first error, such as `FORBIDDEN`. */
  get code(): string | undefined {
    return text(this.errors[0]?.extensions?.["code"]);
  }

  /** Why the client counts as signed out, where the code is `UNAUTHENTICATED`. */
  get reason(): string | undefined {
    return text(this.errors[0]?.extensions?.["reason"]);
  }

  /** In how many seconds to try again, where the code is `RATE_LIMITED` or `SERVICE_UNAVAILABLE`. */
  get retryAfter(): number | undefined {
    const seconds = this.errors[0]?.extensions?.["retryAfter"];
    return typeof seconds === "number" ? seconds : undefined;
  }
}

/** The service could not be reached, or what answered was not the service. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

/** Whether the service does not know who calls: the one case in which refreshing helps. */
export function isUnauthenticated(result: GraphQLResult): boolean {
  return result.errors?.some((error) => error.extensions?.["code"] === "UNAUTHENTICATED") ?? false;
}

/** The same errors that the service gives to a client that is signed out. */
export function signedOutError(): VestibuleError {
  return new VestibuleError([
    { message: "Sign in first.", extensions: { code: "UNAUTHENTICATED", reason: "MISSING" } },
  ]);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
