import { createVestibuleClient, MeDocument } from "../src";

/** Functions that the browser test calls in a page. */
const page = {
  client: createVestibuleClient({ url: new URLSearchParams(location.search).get("url") ?? "" }),
  email: async () => (await page.client.request(MeDocument)).me?.email,
};
Object.assign(globalThis, { page });
export type TestPage = typeof page;
