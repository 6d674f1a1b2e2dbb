// Passkeys on the pages of this service. A form with `data-passkey` gets the browser's credential in its field `passkey`
// and is sent. The options are in `data-options`, or are fetched from `data-options-from`, because those of a page that
// has been open for long are too old; for a new passkey, the form is sent there. Forms stay hidden where the browser has
// no passkeys.
(() => {
  if (!window.PublicKeyCredential) return;

  const RENEWAL = 9 * 60 * 1000;
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0)).buffer;
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  const withIds = (list) => list.map((one) => ({ ...one, id: bytes(one.id) }));
  const forGet = (json) => ({
    ...json,
    challenge: bytes(json.challenge),
    allowCredentials: withIds(json.allowCredentials),
  });
  const forCreate = (json) => ({
    ...json,
    challenge: bytes(json.challenge),
    user: { ...json.user, id: bytes(json.user.id) },
    excludeCredentials: withIds(json.excludeCredentials),
  });

  // `toJSON` is missing in browsers before 2025, and some password managers replace it by one that fails.
  const toJson = ({ id, type, response }) => {
    const json = { clientDataJSON: text(response.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (response[name]) json[name] = text(response[name]);
    }
    if (response.getTransports) json.transports = response.getTransports();
    return { id, rawId: id, type, response: json };
  };

  let waiting;

  const optionsOf = async (form) => {
    const { options, optionsFrom, passkey } = form.dataset;
    if (options) return JSON.parse(options);
    const sent = passkey === "create" && { method: "POST", body: new URLSearchParams(new FormData(form)) };
    const response = await fetch(optionsFrom, { cache: "no-store", ...sent });
    if (!response.ok) throw new Error(`options: ${response.status}`);
    return response.json();
  };

  const ask = async (form, mediation) => {
    const options = await optionsOf(form);
    // Only one request may be in progress: a click ends the one that waits for autofill.
    waiting?.abort();
    waiting = new AbortController();
    const request = { signal: waiting.signal, ...(mediation && { mediation }) };
    const credential =
      form.dataset.passkey === "create"
        ? await navigator.credentials.create({ ...request, publicKey: forCreate(options) })
        : await navigator.credentials.get({ ...request, publicKey: forGet(options) });
    form.elements.passkey.value = JSON.stringify(toJson(credential));
    form.submit();
  };

  const offer = (form) => {
    const autofill = () =>
      ask(form, "conditional").catch((error) => {
        if (error.name !== "AbortError") console.warn("passkeys in the field:", error);
      });
    const isOffered = async () =>
      "autofill" in form.dataset && (await PublicKeyCredential.isConditionalMediationAvailable?.());
    let renewal;
    const start = async () => {
      if (!(await isOffered())) return;
      autofill();
      renewal = setInterval(autofill, RENEWAL);
    };
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearInterval(renewal);
      const problem = form.querySelector("[data-problem]");
      problem.hidden = true;
      ask(form).catch((error) => {
        console.warn("passkey:", error);
        problem.hidden = false;
        start();
      });
    });
    start();
  };

  document.querySelectorAll("form[data-passkey]").forEach(offer);
})();
