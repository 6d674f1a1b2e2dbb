export type { TypedDocumentNode } from "@graphql-typed-document-node/core";
export { createVestibuleClient } from "./client/client";
export type { ExecuteOptions, RequestOptions, VestibuleClient, VestibuleOptions } from "./client/client";
export type {
  AccessToken,
  AuthTokens,
  CompleteSignInResult,
  PasskeySignInResult,
  ProofErrors,
  SessionState,
  SignInChallenge,
  SignInResult,
} from "./client/credentials";
export { ConnectionError, ERROR_CODES, VestibuleError } from "./client/errors";
export type { ErrorCode, GraphQLResult, UnauthenticatedReason } from "./client/errors";
export { createPasskey, getPasskey, hasPasskeys } from "./client/passkeys";
export type { PasskeyCreationOptions, PasskeyPrompt, PasskeyRequestOptions } from "./client/passkeys";
export type { Sink } from "./client/socket";
export { memoryStore } from "./client/store";
export type { RefreshTokenStore } from "./client/store";
export { browserTabs, noTabs } from "./client/tabs";
export type { TabMessage, Tabs } from "./client/tabs";
export { operationOf } from "./client/transport";
export type { AnyDocument } from "./client/transport";
export type { ReactNativeFile, UploadFile } from "./client/upload";
export * from "./gql/graphql";
