import { ApolloLink } from "@apollo/client";
import { Observable } from "rxjs";
import type { VestibuleClient } from "../client/client";
import type { GraphQLResult } from "../client/errors";
import { operationOf } from "../client/transport";

/**
 * Terminating link for Apollo Client: queries, mutations with files, and subscriptions use the Vestibule client.
 * Clear Apollo's cache when another user signs in: `client.onSessionChange(() => apollo.clearStore())`.
 */
export function vestibuleLink(client: VestibuleClient): ApolloLink {
  return new ApolloLink(
    ({ query, variables }) =>
      new Observable<ApolloLink.Result>((observer) => {
        if (operationOf(query) === "subscription") {
          return client.subscribeTo(query, variables, {
            next: (result) => observer.next(asApollo(result)),
            error: (error) => observer.error(error),
            complete: () => observer.complete(),
          });
        }
        const control = new AbortController();
        client.execute(query, variables, { signal: control.signal }).then(
          (result) => {
            observer.next(asApollo(result));
            observer.complete();
          },
          (error: unknown) => observer.error(error),
        );
        return () => control.abort();
      }),
  );
}

function asApollo(result: GraphQLResult): ApolloLink.Result {
  return result as ApolloLink.Result;
}
