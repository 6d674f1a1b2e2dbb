import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { type DefinitionNode, type DocumentNode, Kind, parse, print } from "graphql";
import { ConnectionError, type GraphQLResult, type HttpFacts, type Received } from "./errors";
import { multipart, takeFiles } from "./upload";

/** Variables of an operation. */
export type Variables = object;

/** A document, or its text, which is sent unchanged. The type of the data is generated with the document. */
export type AnyDocument<TData = unknown> = TypedDocumentNode<TData, never> | string;

/** Options of one request. */
export interface SendOptions {
  /** The access token of the request. */
  token?: string | null | undefined;
  /** Cancels the request. */
  signal?: AbortSignal | undefined;
  /** Name of the operation, if the document has several. */
  operationName?: string | null | undefined;
  /** More headers. */
  headers?: Record<string, string> | undefined;
}

/** Sends a document once and returns the response unchanged. Throws `ConnectionError` without a response. */
export type Send = <TData>(
  document: AnyDocument<TData>,
  variables: Variables,
  options?: SendOptions,
) => Promise<Received<TData>>;

const texts = new WeakMap<DocumentNode, string>();

/** Returns the text of a document, printed once and cached. */
export function documentText(document: DocumentNode | string): string {
  if (typeof document === "string") return document;
  const known = texts.get(document);
  if (known !== undefined) return known;
  const text = print(document);
  texts.set(document, text);
  return text;
}

/** Returns the kind of the operation, by default of the first: query, mutation or subscription. */
export function operationOf(
  document: DocumentNode | string,
  operationName?: string | null,
): "query" | "mutation" | "subscription" {
  for (const definition of definitionsOf(document)) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
    if (!operationName || definition.name?.value === operationName) return definition.operation;
  }
  return "query";
}

function definitionsOf(document: DocumentNode | string): readonly DefinitionNode[] {
  if (typeof document !== "string") return document.definitions;
  try {
    return parse(document, { noLocation: true }).definitions;
  } catch {
    // The service reports the error, and executes nothing.
    return [];
  }
}

/** GraphQL over HTTP. Files among the variables are sent by the multipart request specification. */
export function httpTransport(url: string, fetch: typeof globalThis.fetch, cookies: boolean): Send {
  return async <TData>(
    document: AnyDocument<TData>,
    variables: Variables,
    options: SendOptions = {},
  ): Promise<Received<TData>> => {
    const { token, signal, operationName } = options;
    const headers = new Headers(options.headers);
    headers.set("accept", "application/graphql-response+json, application/json;q=0.9");
    if (token) headers.set("authorization", `Bearer ${token}`);
    const { plain, files } = takeFiles(variables);
    const request = { query: documentText(document), variables: plain, ...(operationName ? { operationName } : {}) };
    const operations = JSON.stringify(request);
    // Other sites can send forms, but not the header of the first.
    if (files.length > 0) headers.set("graphql-require-preflight", "1");
    if (files.length > 0) headers.delete("content-type");
    else headers.set("content-type", "application/json");
    const body = files.length > 0 ? multipart(operations, files) : operations;
    const init: RequestInit = { method: "POST", headers, body, credentials: cookies ? "include" : "omit" };
    if (signal) init.signal = signal;
    let response: Response;
    let answer: unknown;
    try {
      response = await fetch(url, init);
      answer = await response.json().catch(() => undefined);
    } catch (cause) {
      throwIfAborted(signal);
      throw new ConnectionError("The service cannot be reached.", { cause });
    }
    throwIfAborted(signal);
    const http = factsOf(response);
    if (!isResult(answer)) {
      throw new ConnectionError(`The answer is not of GraphQL (HTTP status ${response.status}).`, { http });
    }
    // The schema of the service guarantees the type, which was generated from it.
    return { result: answer as GraphQLResult<TData>, http };
  };
}

/** Throws the reason of a cancelled request. React Native's signals have none. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  const reason: unknown = signal.reason;
  if (reason instanceof Error) throw reason;
  throw Object.assign(new Error("The request was cancelled."), { name: "AbortError" });
}

function factsOf({ status, headers }: Response): HttpFacts {
  const requestId = headers.get("x-request-id") ?? undefined;
  return { status, requestId, retryAfter: secondsOf(headers.get("retry-after")) };
}

/** Reads the header `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3). */
function secondsOf(header: string | null): number | undefined {
  if (header === null) return undefined;
  const seconds = /^\d+$/.test(header) ? Number(header) : Math.ceil((Date.parse(header) - Date.now()) / 1000);
  return Number.isNaN(seconds) ? undefined : Math.max(seconds, 0);
}

function isResult(answer: unknown): answer is GraphQLResult {
  return typeof answer === "object" && answer !== null && ("data" in answer || "errors" in answer);
}
