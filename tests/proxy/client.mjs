// A client over TLS from an address of its choice: all of 127.0.0.0/8 is this machine.

import { request } from "node:https";
import { connect } from "node:http2";
import WebSocket from "ws";

/** A request with a document and a file as its variable `f`, by version 2 of the GraphQL multipart request specification. */
function multipart(query, file) {
  const part = (name, content) => [`--limit\r\nContent-Disposition: form-data; name=${name}\r\n\r\n`, content, "\r\n"];
  const parts = [
    ...part('"operations"', JSON.stringify({ query, variables: { f: null } })),
    ...part('"map"', '{"0":["variables.f"]}'),
    ...part('"0"; filename="f"', file),
    "--limit--\r\n",
  ];
  const body = Buffer.concat(parts.map((piece) => Buffer.from(piece)));
  const headers = { "content-type": "multipart/form-data; boundary=limit", "graphql-require-preflight": "1" };
  return { headers: { ...headers, "content-length": body.length }, body };
}

/** A client of a service at this https address. */
export class Client {
  constructor(url, ca, from = "127.0.0.2", headers = {}) {
    Object.assign(this, { url, ca, from, headers });
  }

  /** The same client with another address or more headers. */
  with({ from = this.from, ...headers }) {
    return new Client(this.url, this.ca, from, { ...this.headers, ...headers });
  }

  /** Sends a request; resolves to the answer once its headers are there. */
  open(path, { method = "GET", headers = {}, body = undefined } = {}) {
    const options = { method, ca: this.ca, localAddress: this.from, agent: false, headers: { ...this.headers, ...headers } };
    return new Promise((resolve, reject) => {
      let answered = false;
      const sent = request(new URL(path, this.url), options, (answer) => {
        answered = true;
        resolve(answer);
      });
      // A proxy that refuses a body need not read it to its end.
      sent.on("error", (error) => answered || reject(error));
      sent.end(body);
    });
  }

  /** Sends a request; resolves to the whole answer. */
  async ask(path, options) {
    const answer = await this.open(path, options);
    let text = "";
    for await (const chunk of answer.setEncoding("utf8")) text += chunk;
    return { status: answer.statusCode, headers: answer.headers, text, json: () => JSON.parse(text) };
  }

  /** Sends a document. */
  graphql(query, variables = {}) {
    const headers = { "content-type": "application/json" };
    return this.ask("/graphql", { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  }

  /** The data that a document yields. */
  async data(query, variables) {
    const answer = await this.graphql(query, variables);
    const { data, errors } = answer.json();
    if (errors) throw new Error(answer.text);
    return data;
  }

  /** Sends a document with a file as the variable `f`. */
  upload(query, file) {
    const { headers, body } = multipart(query, file);
    return this.ask("/graphql", { method: "POST", headers, body });
  }

  /** The same by HTTP/2. */
  uploadByHttp2(query, file) {
    const { headers, body } = multipart(query, file);
    return this.postByHttp2(headers, body);
  }

  /** Sends a document by HTTP/2. */
  graphqlByHttp2(query, variables = {}) {
    return this.postByHttp2({ "content-type": "application/json" }, JSON.stringify({ query, variables }));
  }

  async postByHttp2(headers, body) {
    // In MB; ten are the default.
    const session = connect(this.url, { ca: this.ca, localAddress: this.from, maxSessionMemory: 64 });
    session.on("error", () => {});
    try {
      const stream = session.request({ ":method": "POST", ":path": "/graphql", ...headers, ...this.headers });
      let text = "";
      stream.setEncoding("utf8").on("data", (chunk) => (text += chunk));
      const ended = new Promise((resolve) => stream.on("end", resolve).on("close", resolve));
      const answered = new Promise((resolve, reject) => {
        stream.on("response", resolve).on("error", reject);
        stream.on("close", () => reject(new Error("the stream ended without an answer")));
      });
      stream.end(body);
      const head = await answered;
      await ended;
      return { status: head[":status"], headers: head, text, json: () => JSON.parse(text) };
    } finally {
      session.destroy();
    }
  }

  /** A WebSocket on which messages are sent and heard. */
  async socket() {
    const address = `${this.url.replace("https://", "wss://")}/graphql`;
    const socket = new WebSocket(address, "graphql-transport-ws", { ca: this.ca, localAddress: this.from, headers: this.headers });
    const messages = [];
    let wake = () => {};
    socket.on("message", (data) => {
      messages.push(JSON.parse(data));
      wake();
    });
    const pinged = new Promise((resolve) => socket.once("ping", resolve));
    const closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
    await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
    return {
      pinged,
      closed,
      say: (message) => socket.send(JSON.stringify(message)),
      async hear() {
        while (messages.length === 0) await new Promise((resolve) => (wake = resolve));
        return messages.shift();
      },
      close: () => socket.close(1000),
    };
  }
}
