import { type DocumentNode, Kind, print } from "graphql";
import { ConnectionError, type GraphQLResult } from "./errors";
import { multipart, takeFiles } from "./upload";

/** Variables of an operation. */
export type Variables = object;

/** Options of one request. */
export interface SendOptions {
  /** The access token of the request. */
  token?: string | null | undefined;
  /** Cancels the request. */
  signal?: AbortSignal | undefined;
}

/** Sends a document once and returns the response unchanged. Throws `ConnectionError` without a response. */
export type Send = (document: DocumentNode, variables: Variables, options?: SendOptions) => Promise<GraphQLResult>;

const texts = new WeakMap<DocumentNode, string>();

/** Returns the text of a document, printed once and cached. */
export function documentText(document: DocumentNode): string {
  const known = texts.get(document);
  if (known !== undefined) return known;
  const text = print(document);
  texts.set(document, text);
  return text;
}

/** Returns the kind of a document: query, mutation or subscription. */
export function operationOf(document: DocumentNode): "query" | "mutation" | "subscription" {
  for (const definition of document.definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION) return definition.operation;
  }
  return "query";
}

/** GraphQL over HTTP. Files among the variables are sent by the multipart request specification. */
export function httpTransport(url: string, fetch: typeof globalThis.fetch, cookies: boolean): Send {
  return async (document, variables, { token, signal } = {}) => {
    const headers: Record<string, string> = { accept: "application/graphql-response+json, application/json;q=0.9" };
    if (token) headers["authorization"] = `Bearer ${token}`;
    const { plain, files } = takeFiles(variables);
    const operations = JSON.stringify({ query: documentText(document), variables: plain });
    // Other sites can send forms, but not this header.
    headers[files.length > 0 ? "graphql-require-preflight" : "content-type"] =
      files.length > 0 ? "1" : "application/json";
    const body = files.length > 0 ? multipart(operations, files) : operations;
    const init: RequestInit = { method: "POST", headers, body, credentials: cookies ? "include" : "omit" };
    if (signal) init.signal = signal;
    let response: Response;
    let answer: unknown;
    try {
      response = await fetch(url, init);
      answer = await response.json().catch(() => undefined);
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new ConnectionError("The service cannot be reached.", { cause });
    }
    if (signal?.aborted) throw signal.reason;
    if (!isResult(answer)) throw new ConnectionError(`The answer is not of GraphQL (HTTP status ${response.status}).`);
    return answer;
  };
}

function isResult(answer: unknown): answer is GraphQLResult {
  return typeof answer === "object" && answer !== null && ("data" in answer || "errors" in answer);
}
