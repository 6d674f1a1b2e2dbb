import { ApolloClient, InMemoryCache } from "@apollo/client";
import { createClient } from "@urql/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createVestibuleClient, MeDocument, PasswordPolicyDocument, UpdateMeDocument, type VestibuleClient } from "../src";
import { vestibuleLink } from "../src/adapters/apollo";
import { vestibuleExchange } from "../src/adapters/urql";
import { rename } from "../src/tada/example";
import { Browser } from "./browser";
import { ADMIN, type Service, startService } from "./service";

let service: Service;
let browser: Browser;
let client: VestibuleClient;

beforeAll(async () => {
  service = await startService();
  browser = new Browser();
  client = createVestibuleClient({ url: service.url, fetch: browser.fetch });
  await client.signIn(ADMIN);
});
afterAll(async () => {
  await client.close();
  service.stop();
});

/** Invalidates the client's current token. */
async function breakToken(): Promise<void> {
  await client.request(MeDocument);
  browser.broken.add(browser.token);
  browser.sent.length = 0;
}

test("Apollo Client refreshes, continues and caches results", async () => {
  const apollo = new ApolloClient({ link: vestibuleLink(client), cache: new InMemoryCache() });
  await breakToken();
  const asked = await Promise.all([apollo.query({ query: MeDocument }), apollo.query({ query: PasswordPolicyDocument })]);
  expect(asked[0].data?.me?.email).toBe(ADMIN.identifier);
  expect(browser.count("Refresh")).toBe(1);
  const { data } = await apollo.mutate({ mutation: UpdateMeDocument, variables: { input: { bio: "by Apollo" } } });
  expect(data?.updateMe?.errors).toEqual([]);
  expect(apollo.readQuery({ query: MeDocument })?.me?.bio).toBe("by Apollo");
});

test("urql refreshes and continues", async () => {
  const urql = createClient({ url: service.url, exchanges: [vestibuleExchange(client)], preferGetMethod: false });
  await breakToken();
  const { data, error } = await urql.query(MeDocument, {}).toPromise();
  expect([data?.me?.email, error]).toEqual([ADMIN.identifier, undefined]);
  expect(browser.count("Refresh")).toBe(1);
  const written = await urql.mutation(UpdateMeDocument, { input: { bio: "by urql" } }).toPromise();
  expect(written.data?.updateMe?.user?.bio).toBe("by urql");
});

test("Apollo Client and urql receive errors as errors", async () => {
  const stranger = createVestibuleClient({ url: service.url, fetch: new Browser().fetch });
  const apollo = new ApolloClient({ link: vestibuleLink(stranger), cache: new InMemoryCache() });
  const urql = createClient({ url: service.url, exchanges: [vestibuleExchange(stranger)], preferGetMethod: false });
  await expect(apollo.query({ query: MeDocument })).rejects.toThrow();
  const { error } = await urql.query(MeDocument, {}).toPromise();
  expect(error?.graphQLErrors[0]?.extensions["code"]).toBe("UNAUTHENTICATED");
});

test("a document of gql.tada works the same", async () => {
  expect(await rename(client, "Ada")).toEqual({ name: "Ada" });
  expect(await rename(client, "A".repeat(1000))).toEqual({ mend: "A shorter name, please." });
});
