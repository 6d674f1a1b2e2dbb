import { type ExecutionResult, type Exchange, makeErrorResult, makeResult, type Operation, type OperationResult } from "@urql/core";
import { filter, make, merge, mergeMap, pipe, type Source, takeUntil } from "wonka";
import type { VestibuleClient } from "../client/client";
import type { GraphQLResult } from "../client/errors";

/**
 * Terminating exchange for urql: queries, mutations with files, and subscriptions use the Vestibule client.
 * Create a new urql client when another user signs in, to clear its cache: `client.onSessionChange(…)`.
 */
export function vestibuleExchange(client: VestibuleClient): Exchange {
  return ({ forward }) =>
    (operations) => {
      const results = pipe(
        operations,
        filter((operation) => operation.kind !== "teardown"),
        mergeMap((operation) => {
          const ended = pipe(
            operations,
            filter(({ kind, key }) => kind === "teardown" && key === operation.key),
          );
          return pipe(resultsOf(client, operation), takeUntil(ended));
        }),
      );
      const others = pipe(
        operations,
        filter((operation) => operation.kind === "teardown"),
        forward,
      );
      return merge([results, others]);
    };
}

function resultsOf(client: VestibuleClient, operation: Operation): Source<OperationResult> {
  const variables: object = operation.variables ?? {};
  return make((observer) => {
    const fail = (error: unknown): void => {
      observer.next(makeErrorResult(operation, error instanceof Error ? error : new Error(String(error))));
      observer.complete();
    };
    if (operation.kind === "subscription") {
      return client.subscribeTo(operation.query, variables, {
        next: (result) => observer.next(makeResult(operation, asUrql(result, true))),
        error: fail,
        complete: () => observer.complete(),
      });
    }
    const control = new AbortController();
    client.execute(operation.query, variables, { signal: control.signal }).then((result) => {
      observer.next(makeResult(operation, asUrql(result, false)));
      observer.complete();
    }, fail);
    return () => control.abort();
  });
}

function asUrql(result: GraphQLResult, hasNext: boolean): ExecutionResult {
  return { ...(result as ExecutionResult), hasNext };
}
