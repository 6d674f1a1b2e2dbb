import type { Fetcher, Observable } from "@graphiql/toolkit";
import { type ExecutionResult, Kind, parse } from "graphql";
import { type GraphQLResult, operationOf, type VestibuleClient, VestibuleError } from "vestibule";

/** Sends GraphiQL's operations with the session of the client. Headers typed into a tab are sent with its requests. */
export function fetcherOf(client: VestibuleClient): Fetcher {
  return ({ query, variables: given, operationName: selected }, options) => {
    const operationName = nameOf(query, selected);
    const variables = objectOf(given);
    if (operationOf(query, operationName) === "subscription") {
      return subscription(client, query, variables, operationName);
    }
    const headers = stringsOf(options?.headers);
    return client.execute(query, variables, { operationName, headers }).then(asGraphiQL, failed);
  };
}

function subscription(
  client: VestibuleClient,
  query: string,
  variables: object,
  operationName: string | null,
): Observable<ExecutionResult> {
  // GraphiQL subscribes with an object.
  return {
    subscribe: (observer: Observer) => {
      const sink = {
        next: (result: GraphQLResult) => observer.next(asGraphiQL(result)),
        error: (error: Error) => observer.error(error instanceof VestibuleError ? error.errors : error),
        complete: () => observer.complete(),
      };
      return { unsubscribe: client.subscribeTo(query, variables, sink, operationName) };
    },
  } as Observable<ExecutionResult>;
}

interface Observer {
  next: (result: ExecutionResult) => void;
  error: (error: unknown) => void;
  complete: () => void;
}

/** The result of a request that failed before it was executed, such as in a refresh. */
function failed(error: unknown): ExecutionResult {
  if (error instanceof VestibuleError) return asGraphiQL({ errors: error.errors });
  return asGraphiQL({ errors: [{ message: error instanceof Error ? error.message : String(error) }] });
}

function asGraphiQL(result: GraphQLResult): ExecutionResult {
  return result as ExecutionResult;
}

/** The name of the only operation: GraphiQL updates its own late, and may send that of the previous tab. */
function nameOf(query: string, selected: string | null | undefined): string | null {
  const operations = definitionsOf(query).filter((definition) => definition.kind === Kind.OPERATION_DEFINITION);
  const [only] = operations;
  return operations.length === 1 ? (only?.name?.value ?? null) : (selected ?? null);
}

function definitionsOf(query: string) {
  try {
    return parse(query, { noLocation: true }).definitions;
  } catch {
    return [];
  }
}

function objectOf(variables: unknown): object {
  return typeof variables === "object" && variables !== null ? variables : {};
}

function stringsOf(headers: Record<string, unknown> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
