// Requests that anyone can send to harm the service. `hostile.mjs` sends them, and describes the harm.
//
// A request has a `body`, or a query string (`path`), or a `document` that is sent over a WebSocket. `times` is the
// number of copies that are sent at once. `effect` describes a harm that consists in the execution of the request.

/** Texts of consecutive numbers, joined. */
function series(count, text) {
  return Array.from({ length: count }, (_, number) => text(number)).join(" ");
}

/** Fragments that each spread the next one several times. */
function cascade(levels, spreads) {
  const fragments = series(levels, (level) => `fragment f${level} on Query { ${`...f${level + 1} `.repeat(spreads)}}`);
  return `{ ...f0 } ${fragments} fragment f${levels} on Query { __typename }`;
}

const login = (alias) => `a${alias}: login(input: { identifier: "a${alias}", password: "b" }) { errors { code } }`;
const reset = (alias) => `a${alias}: requestReset(input: { email: "a${alias}@example.com" }) { success }`;
const LOGIN = `mutation { ${login(0)} }`;
const DOUBLING = cascade(28, 2);
const MEGABYTE = 1024 * 1024;

/** A body of JSON. */
const json = (document, more = {}) => ({ body: JSON.stringify({ query: document, ...more }) });

/** A body of JSON as another type. */
const typed = (type, document) => ({ ...json(document), headers: type ? { "content-type": type } : {} });

/** A query string. */
const get = (document) => ({ method: "GET", headers: {}, path: `?query=${encodeURIComponent(document)}` });

/** A body of multipart/form-data; each part is `[disposition, content, type]`. */
function form(parts, headers = { "graphql-require-preflight": "1" }) {
  const text = parts.map(([disposition, content, type]) => {
    const head = `Content-Disposition: form-data; ${disposition}\r\n${type ? `Content-Type: ${type}\r\n` : ""}`;
    return `--x\r\n${head}\r\n${content}\r\n`;
  });
  return { body: `${text.join("")}--x--\r\n`, headers: { "content-type": "multipart/form-data; boundary=x", ...headers } };
}

const FILE = 'name="0"; filename="a"';

export const REQUESTS = {
  // Fragments.
  "two dozen fragments that spread each other twice": json(DOUBLING),
  "such fragments by GET": get(DOUBLING),
  "such fragments over a WebSocket": { document: DOUBLING },
  "such fragments in multipart/form-data": form([['name="operations"', json(DOUBLING).body], ['name="map"', "{}"]]),
  "such fragments in an operation that is not selected": json(
    `query A { __typename } query B ${DOUBLING}`,
    { operationName: "A" },
  ),
  "such fragments behind a condition": json(DOUBLING.replace("{ ...f0 }", "{ __typename ...f0 @skip(if: true) }")),
  "few fragments with 60 spreads each": json(cascade(5, 60)),
  "a fragment that spreads itself twice": json("{ ...a } fragment a on Query { ...a ...a }"),
  "two fragments that spread each other twice": json(
    "{ ...a } fragment a on Query { ...b ...b } fragment b on Query { ...a ...a }",
  ),

  // Nesting.
  "5,000 nested selections": json(`${"{a".repeat(5000)}${"}".repeat(5000)}`),
  "5,000 nested inline fragments": json(`${"{...".repeat(5000)}{a}${"}".repeat(5000)}`),
  "8,000 nested lists": json(`{ a(b: ${"[".repeat(8000)}${"]".repeat(8000)}) }`),
  "8,000 nested objects": json(`{ a(b: ${"{a:".repeat(8000)}1${"}".repeat(8000)}) }`),
  "8,000 nested lists in the type of a variable": json(
    `query ($a: ${"[".repeat(8000)}Int${"]".repeat(8000)}) { __typename }`,
  ),
  "60,000 nested lists in a variable": {
    body: `{"query":"{ __typename }","variables":{"a":${"[".repeat(60_000)}${"]".repeat(60_000)}}}`,
  },

  // Length.
  "a body of 40 MB": json(`{ __typename }${" ".repeat(40 * MEGABYTE)}`),
  "a body of 40 MB of unknown length": {
    ...json(`{ __typename }${" ".repeat(40 * MEGABYTE)}`),
    headers: { "content-type": "application/json", "transfer-encoding": "chunked" },
  },
  "a string of 5 MB": { ...json(`{ user(id: """${"x".repeat(5 * MEGABYTE)}""") { id } }`), times: 4 },
  "100,000 variables": {
    ...json("{ __typename }", { variables: Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`a${at}`, at])) }),
    times: 4,
  },
  "a document of 300 KB with an error": json(`{ __typename ) ${"x".repeat(300_000)}`),
  "an unknown field with a name of 100 KB": json(`{ ${"x".repeat(100_000)} }`),
  "1,000 unknown fields": json(`{ ${series(1000, (number) => `a${number}`)} }`),
  "1,000 unused variables": json(`query (${series(1000, (number) => `$a${number}: Int`)}) { __typename }`),
  "the schema 40 times": json(
    `{ ${series(40, (number) => `a${number}: __schema { types { name fields { name description args { name } } } }`)} }`,
  ),
  "long lists in long lists": json(
    "{ users(first: 200) { nodes { recentSamples(first: 200) { modifiedBy { recentSamples(first: 200) { id } } } } } }",
  ),
  "2,000 directives": json(`{ __typename ${"@include(if: true) ".repeat(2000)} }`),

  // Repetition in one request.
  "20 passwords": { ...json(`mutation { ${series(20, login)} }`), effect: "20 passwords were tried" },
  "passwords in a fragment and beside it": {
    ...json(`mutation { ...f ... { ${login(0)} } } fragment f on Mutation { ${login(1)} }`),
    effect: "two passwords were tried",
  },
  "20 passwords in a batch": {
    body: JSON.stringify(Array.from({ length: 20 }, (_, number) => ({ query: `mutation { ${login(number)} }` }))),
    effect: "20 passwords were tried",
  },
  "20 mails": { ...json(`mutation { ${series(20, reset)} }`), effect: "20 mails were requested" },
  "40 subscriptions in an operation": {
    document: `subscription { ${series(40, (number) => `a${number}: onlineUsers { id }`)} }`,
    effect: "40 subscriptions were begun",
  },

  // Pages of other origins, which can send these without a preflight request.
  "a mutation as text/plain": { ...typed("text/plain", LOGIN), effect: "a page of another origin can send it" },
  "a mutation as application/x-www-form-urlencoded": {
    ...typed("application/x-www-form-urlencoded", LOGIN),
    effect: "a page of another origin can send it",
  },
  "a mutation without a media type": { ...typed(undefined, LOGIN), effect: "a page of another origin can send it" },
  "a mutation by GET": { ...get(LOGIN), effect: "a link can send it" },
  "a file without a header that needs a preflight request": {
    ...form([['name="operations"', json(LOGIN).body], ['name="map"', '{"0":["variables.a"]}'], [FILE, "x"]], {}),
    effect: "a page of another origin can send it",
  },

  // Texts and parts that a parser may stumble over.
  "half of a surrogate pair": json('{ user(id: "\\ud83d") { id } }'),
  "an object as the default of an unknown type": json("query ($a: NoSuch = { a: 1 }) { __typename }"),
  "operations in multipart/mixed": form([['name="operations"', json("{ __typename }").body, "multipart/mixed"]]),
  "1,000 variables for one file": {
    ...form([
      ['name="operations"', json("mutation ($a: [Upload]) { __typename }", { variables: { a: Array(1000).fill(null) } }).body],
      ['name="map"', JSON.stringify({ 0: Array.from({ length: 1000 }, (_, at) => `variables.a.${at}`) })],
      [FILE, "x".repeat(100_000)],
    ]),
  },
  "40 MB in a file that no variable names": form([
    ['name="operations"', json("{ __typename }").body],
    ['name="map"', "{}"],
    [FILE, "x".repeat(40 * MEGABYTE)],
  ]),

  // Requests that a filter before the service reads differently.
  "a field of an input object twice": {
    ...json('mutation { login(input: { identifier: "a", password: "b", identifier: "c" }) { errors { code } } }'),
    effect: "one of two values was taken",
  },
  "a variable twice": {
    body: `{"query":${JSON.stringify('mutation ($a: String!) { login(input: { identifier: $a, password: "b" }) { errors { code } } }')},"variables":{"a":"c","a":"d"}}`,
    effect: "one of two values was taken",
  },
};
